package commands_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/holdfast-config/holdfast/commands"
	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

func TestRestore(t *testing.T) {
	for _, tt := range []struct {
		name       string
		then, now  string // change sets up to the point, and those after it
		ns, from   events.Namespace
		keys       []events.Key
		want, left string
	}{
		{name: "own values", then: pay + `pay.prod: [{"do":"set","key":"host","value":"a"}]`, ns: "pay.prod",
			now:  `pay.prod: [{"do":"set","key":"conns","value":60},{"do":"unset","key":"host"},{"do":"set","key":"wait","value":"1s"}]`,
			want: `[{"do":"unset","key":"wait"},{"do":"set","key":"conns","value":50},{"do":"set","key":"host","value":"a"}]`},
		{name: "nothing has changed", then: pay, now: `pay: [{"do":"tag","tag":"t"}]`, ns: "pay", want: `[]`},
		{name: "some keys", then: pay, ns: "pay.prod", keys: []events.Key{"wait", "wait"},
			now:  `pay.prod: [{"do":"set","key":"conns","value":60},{"do":"set","key":"wait","value":"1s"}]`,
			want: `[{"do":"unset","key":"wait"}]`},
		{name: "a kind and its value", then: pay, ns: "pay.prod",
			now:  `pay.prod: [{"do":"define","key":"conns","definition":{"kind":"string"}},{"do":"set","key":"conns","value":"many"}]`,
			want: `[{"do":"remove","key":"conns"},{"do":"set","key":"conns","value":50}]`},
		{name: "a key that was removed", then: pay, now: `pay: [{"do":"remove","key":"port"}]`, ns: "pay",
			want: `[{"do":"define","key":"port","definition":{"kind":"int","requires":["host"]}}]`},
		{name: "an inherited value that has changed", then: pay, now: `pay: [{"do":"set","key":"host","value":"a"},{"do":"set","key":"conns","value":7}]`,
			ns: "pay.prod", keys: []events.Key{"conns", "host"}, want: `[]`, left: "host has a value from pay, which can not be undone here"},
		{name: "an inherited value gets an override", then: pay + `pay: [{"do":"set","key":"host","value":"a"}]`, ns: "pay.prod",
			now: `pay: [{"do":"set","key":"host","value":"b"}]`, want: `[{"do":"set","key":"host","value":"a"}]`},
		{name: "an inherited default gets an override, and its definition", then: pay, ns: "free",
			from: "pay", keys: []events.Key{"conns"}, now: ``,
			want: `[{"do":"define","key":"conns","definition":{"kind":"int","default":5,"min":1,"max":100}}]`},
		{name: "an override that is not needed any more", then: pay, ns: "pay.prod",
			now:  `pay.prod: [{"do":"define","key":"wait","definition":{"kind":"duration","max":"1m"}},{"do":"set","key":"wait","value":"1s"}]`,
			want: `[{"do":"remove","key":"wait"}]`},
		{name: "own things that are inherited now, too", then: pay + `pay.prod: [{"do":"set","key":"wait","value":"1s"},{"do":"define","key":"host","definition":{"kind":"string"}}]`,
			ns: "pay.prod", now: `pay: [{"do":"set","key":"wait","value":"1000ms"}]
			pay.prod: [{"do":"unset","key":"wait"},{"do":"remove","key":"host"}]`,
			want: `[{"do":"define","key":"host","definition":{"kind":"string"}},{"do":"set","key":"wait","value":"1s"}]`},
		{name: "defined above since", then: pay, ns: "pay.prod", now: `pay: [{"do":"define","key":"new","definition":{"kind":"int","default":1}}]`,
			want: `[]`, left: "new is defined in pay, which can not be undone here; new has a value from default, which can not be undone here"},
		{name: "forbidden above since", then: pay + `free: [{"do":"set","key":"size","value":9}]
			free.eu: [{"do":"create","open":true},{"do":"set","key":"max","value":5}]`, ns: "free.eu",
			now: `free.eu: [{"do":"unset","key":"max"}]
			free: [{"do":"define","key":"max","definition":{"kind":"int","max":4}}]`,
			want: `[]`, left: "max is defined in free, which can not be undone here; max is above the maximum 4, as free defines it"},
		{name: "not defined here", then: pay, ns: "pay", from: "free", now: ``, keys: []events.Key{"k"}, want: `[]`,
			left: "k is not defined, and the namespace is not open"},
		{name: "defined here, not there", then: pay + `free: [{"do":"set","key":"host","value":"a"},{"do":"set","key":"conns","value":900}]`, ns: "pay", from: "free",
			keys: []events.Key{"conns", "host"}, now: ``, want: `[{"do":"set","key":"host","value":"a"}]`,
			left: "conns was not defined, and the namespace is not open; its definition stays, or it could have no value; " +
				"conns is above the maximum 100, as pay defines it; " +
				"host was not defined, and the namespace is not open; its definition stays, or it could have no value"},
		{name: "defined above since, and here", then: pay + `free.eu: [{"do":"create","open":true},{"do":"set","key":"max","value":5}]`, ns: "free.eu",
			now: `free.eu: [{"do":"define","key":"max","definition":{"kind":"int","default":7}},{"do":"unset","key":"max"}]
			free: [{"do":"define","key":"max","definition":{"kind":"int","max":4}}]`,
			want: `[{"do":"set","key":"max","value":5}]`, left: "max is defined in free, which can not be undone here"},
		{name: "a value above that shows there in another form", ns: "free.eu",
			then: pay + `free.eu: [{"do":"create"},{"do":"define","key":"w","definition":{"kind":"string","default":"1m30s"}}]`,
			now:  `free: [{"do":"set","key":"w","value":"90s"},{"do":"define","key":"w","definition":{"kind":"duration"}}]`,
			want: `[{"do":"set","key":"w","value":"1m30s"}]`},
		{name: "sensitive above since, as is what was own", then: pay, ns: "pay.prod", keys: []events.Key{"host"},
			now: `pay.prod: [{"do":"define","key":"host","definition":{"kind":"string","sensitive":true}}]
			pay: [{"do":"define","key":"host","definition":{"kind":"string","sensitive":true}}]`,
			want: `[{"do":"remove","key":"host"}]`},
		{name: "promote", then: pay + `pay.test: [{"do":"create"},{"do":"set","key":"conns","value":9}]`, ns: "pay.prod", from: "pay.test",
			now: `pay.prod: [{"do":"set","key":"wait","value":"1s"}]`, want: `[{"do":"unset","key":"wait"},{"do":"set","key":"conns","value":9}]`},
		{name: "marked sensitive since", then: pay + `pay.prod: [{"do":"define","key":"t","definition":{"kind":"string"}},{"do":"set","key":"t","value":"a"}]`, ns: "pay.prod",
			now:  `pay.prod: [{"do":"define","key":"t","definition":{"kind":"string","sensitive":true}},{"do":"set","key":"t","value":"b"}]`,
			want: `[{"do":"set","key":"t","value":"a"}]`},
		{name: "marked sensitive since, below what was inherited", then: pay, ns: "pay.prod", keys: []events.Key{"host"},
			now:  `pay.prod: [{"do":"define","key":"host","definition":{"kind":"json","sensitive":true}},{"do":"set","key":"host","value":"b"}]`,
			want: `[{"do":"define","key":"host","definition":{"kind":"string","sensitive":true}},{"do":"unset","key":"host"}]`},
		{name: "marked sensitive since, and not defined then", then: pay + `free: [{"do":"set","key":"t","value":"a"}]`, ns: "free", keys: []events.Key{"t"},
			now:  `free: [{"do":"define","key":"t","definition":{"kind":"string","sensitive":true}},{"do":"set","key":"t","value":"b"}]`,
			want: `[{"do":"set","key":"t","value":"a"}]`, left: "t is sensitive and was not defined then; its definition stays, or the value would show"},
		{name: "sensitive above, there", then: pay + `pay: [{"do":"define","key":"t","definition":{"kind":"string","sensitive":true}}]
			pay.test: [{"do":"create"},{"do":"define","key":"t","definition":{"kind":"string"}},{"do":"set","key":"t","value":"a"}]`,
			ns: "free", from: "pay.test", keys: []events.Key{"t"}, now: ``,
			want: `[{"do":"define","key":"t","definition":{"kind":"string","sensitive":true}},{"do":"set","key":"t","value":"a"}]`},
		{name: "sensitive above, then and now", then: pay + `pay: [{"do":"define","key":"t","definition":{"kind":"string","sensitive":true}}]
			pay.prod: [{"do":"define","key":"t","definition":{"kind":"string"}},{"do":"set","key":"t","value":"a"}]`,
			ns: "pay.prod", now: `pay.prod: [{"do":"set","key":"t","value":"b"}]`, want: `[{"do":"set","key":"t","value":"a"}]`},
		{name: "unmarked above since", then: pay + `pay: [{"do":"define","key":"t","definition":{"kind":"string","sensitive":true}}]
			pay.prod: [{"do":"set","key":"t","value":"a"}]`, ns: "pay.prod",
			now: `pay: [{"do":"define","key":"t","definition":{"kind":"string"}}]
			pay.prod: [{"do":"set","key":"t","value":"b"}]`,
			want: `[{"do":"define","key":"t","definition":{"kind":"string","sensitive":true}},{"do":"set","key":"t","value":"a"}]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.from == "" {
				tt.from = tt.ns
			}
			then, now := given(t, tt.then), given(t, tt.then+"\n"+tt.now)
			cs, left, err := commands.Restore(now, tt.ns, then, tt.from, tt.keys)
			if err != nil {
				t.Fatal(err)
			}
			body, err := json.Marshal(cs)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(`{"commands":`+tt.want+`}`, string(body)); diff != "" {
				t.Errorf("commands: %s", diff)
			}
			var why []string
			for _, l := range left {
				why = append(why, string(l.Key)+" "+l.Detail)
			}
			if diff := cmp.Diff(tt.left, strings.Join(why, "; ")); diff != "" {
				t.Errorf("left: %s", diff)
			}
			evs, err := commands.Decide(now, cs)
			if err != nil {
				t.Fatal(err)
			}
			checkSaysRestored(t, evs, then, tt.from)
		})
	}
}

// checkSaysRestored: a change set that restores says so first, and one that changes nothing says nothing.
func checkSaysRestored(t interface{ Fatalf(string, ...any) }, evs []events.Event, then config.Tree, from events.Namespace) {
	if len(evs) == 0 {
		return
	}
	source, _ := then.Namespace(from)
	want := events.NamespaceRestored{Namespace: from, Revision: source.Revision, Position: then.Position()}
	if evs[0] != want || len(evs) == 1 {
		t.Fatalf("got %v, want first %v", evs, want)
	}
}

func TestRestoreRefuses(t *testing.T) {
	tree := given(t, pay)
	many := config.NewFold(config.Tree{})
	add := func(ev events.Event) {
		many.Apply(events.Recorded{Position: many.Tree().Position() + 1, Namespace: "pay", Revision: 1, Event: ev})
	}
	add(events.NamespaceCreated{Open: true})
	few := many.Tree()
	large := events.Value(`"` + strings.Repeat("x", events.MaxValueBytes-2) + `"`)
	for i := range 4 {
		add(events.ValueSet{Key: events.Key(fmt.Sprint("large", i)), Value: large})
	}
	heavy := many.Tree()
	for i := range events.MaxChangeSetCommands + 1 {
		add(events.ValueSet{Key: events.Key(fmt.Sprint("k", i)), Value: "1"})
	}
	for _, tt := range []struct {
		now, then config.Tree
		ns, from  events.Namespace
		keys      []events.Key
		want      string
		err       error
	}{
		{tree, tree, "pay.qa", "pay", nil, `restore pay.qa: namespace "pay.qa" does not exist`, commands.ErrNamespaceNotFound},
		{tree, config.Tree{}, "pay", "pay", nil, `restore pay: namespace "pay" does not exist at that point`, commands.ErrNamespaceNotFound},
		{tree, tree, "pay", "pay", []events.Key{"conns", "nope"}, `restore pay/nope: key "nope" is not known, now or then`, commands.ErrUnknownKey},
		{few, many.Tree(), "pay", "pay", nil, `restore pay: 1005 commands are needed, more than 1000; restore some keys at a time`, commands.ErrLimit},
		{few, heavy, "pay", "pay", nil, `restore pay: more than 1048576 bytes are needed; restore some keys at a time`, commands.ErrLimit},
	} {
		_, _, err := commands.Restore(tt.now, tt.ns, tt.then, tt.from, tt.keys)
		if !errors.Is(err, tt.err) || err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}

// Whatever the history, once it is restored a namespace holds what was in force then, own things as they were; what it does
// not is listed as left, and only what an ancestor has done since can be. Restoring again changes nothing.
func TestRestoreBringsBack(t *testing.T) {
	restored, refused, incomplete := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		trees := anyTrees(t)
		now := trees[len(trees)-1]
		then := trees[rapid.IntRange(0, len(trees)-1).Draw(t, "then")]
		ns := rapid.SampledFrom(someSpaces).Draw(t, "namespace")
		from := ns
		if rapid.IntRange(0, 3).Draw(t, "promote") == 0 {
			from = rapid.SampledFrom(someSpaces).Draw(t, "from")
		}
		cs, left, err := commands.Restore(now, ns, then, from, nil)
		_, isNow := now.Namespace(ns)
		if _, wasThen := then.Namespace(from); !isNow || !wasThen {
			if !errors.Is(err, commands.ErrNamespaceNotFound) {
				t.Fatalf("got %v", err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		evs, err := commands.Decide(now, cs)
		if err != nil {
			refused++ // what is below, or is left, does not allow it
			parent, ok := ns.Parent()
			if alone := !hasBelow(now, ns) && (!ok || !exists(now, parent)); alone && !requiresLeft(err, left) {
				t.Fatalf("nothing below or above, and yet: %v", err)
			}
			return
		}
		restored++
		checkSaysRestored(t, evs, then, from)
		after := evolve(now, ns, evs)
		isLeft := map[events.Key]bool{}
		for _, l := range left {
			isLeft[l.Key] = true
			_, has := now.Effective(ns, l.Key)
			_, had := then.Effective(from, l.Key)
			if _, still := after.Effective(ns, l.Key); has && had && !still {
				t.Fatalf("%s has lost its value: %s", l.Key, l.Detail)
			}
		}
		for _, d := range config.Diff(then, from, after, ns, false) {
			if !isLeft[d.Key] && !differsInSensitive(d) {
				t.Fatalf("%s differs and is not left: %+v, %v", d.Key, d, cs.Commands)
			}
			delete(isLeft, d.Key)
		}
		for key := range then.Definitions(from) {
			if (then.Sensitive(from, key) || now.Sensitive(ns, key)) && !after.Sensitive(ns, key) {
				t.Fatalf("%s is not sensitive any more", key)
			}
		}
		if len(isLeft) > 0 {
			t.Fatalf("left without need: %v of %v", isLeft, left)
		}
		if len(left) > 0 {
			incomplete++
		} else if from == ns {
			checkOwn(t, then, after, ns)
		}
		again, _, err := commands.Restore(after, ns, then, from, nil)
		if err != nil || len(again.Commands) > 0 {
			t.Fatalf("restored again: %v, %v", again.Commands, err)
		}
	})
	t.Logf("%d restored, %d of them not wholly, %d refused", restored, incomplete, refused)
	if restored < 30 {
		t.Errorf("%d were restored and %d refused: the property sees too little", restored, refused)
	}
}

// requiresLeft: all that is refused is that a key is required which was left.
func requiresLeft(err error, left []commands.Left) bool {
	var refused *commands.Refused
	if len(left) == 0 || !errors.As(err, &refused) {
		return false
	}
	return !slices.ContainsFunc(refused.Problems, func(p commands.Problem) bool { return !errors.Is(p.Err, commands.ErrRequired) })
}

// differsInSensitive: the values are equal, and the definitions but for what is sensitive now and was not.
func differsInSensitive(d config.Difference) bool {
	was, is := d.From.Definition, d.To.Definition
	if d.Values() || was == nil || is == nil {
		return false
	}
	marked := was.Definition
	marked.Sensitive = true
	return marked.Equal(is.Definition)
}

// checkOwn: what was ns' own is so again, and what is own beside that differs from what would be inherited.
func checkOwn(t *rapid.T, then, after config.Tree, ns events.Namespace) {
	was, _ := then.Namespace(ns)
	is, _ := after.Namespace(ns)
	for key, own := range was.Keys() {
		now, _ := is.Key(key)
		if (own.Definition != nil) && (now.Definition == nil) || own.Value != "" && now.Value == "" {
			t.Fatalf("%s was own and is not: %+v, %+v", key, own, now)
		}
	}
	parent, _ := ns.Parent()
	for key, own := range is.Keys() {
		before, _ := was.Key(key)
		above, _, inherited := after.Definition(parent, key)
		if before.Definition == nil && own.Definition != nil && inherited && above.Definition.Equal(own.Definition.Definition) {
			t.Fatalf("%s has an own definition that it would inherit", key)
		}
		entry, _ := after.Effective(ns, key)
		up, ok := after.Effective(parent, key)
		if before.Value == "" && own.Value != "" && own.Definition == nil && ok && up.Value == entry.Value {
			t.Fatalf("%s has an own value that it would inherit", key)
		}
	}
}

// anyTrees draws the states that a history of accepted change sets goes through.
func anyTrees(t *rapid.T) []config.Tree {
	tree := config.Tree{}
	for _, ns := range someSpaces {
		if rapid.IntRange(0, 3).Draw(t, "exists") > 0 {
			tree = evolve(tree, ns, []events.Event{events.NamespaceCreated{Open: rapid.Bool().Draw(t, "open")}})
		}
	}
	trees := []config.Tree{tree}
	for range rapid.IntRange(1, 30).Draw(t, "change sets") {
		cs := withoutExpect(anyChangeSet(t))
		cs.Expect, tree = commands.Expect{}, trees[len(trees)-1]
		if evs, err := commands.Decide(tree, cs); err == nil && len(evs) > 0 {
			trees = append(trees, evolve(tree, cs.Namespace, evs))
		}
	}
	return trees
}

func exists(t config.Tree, ns events.Namespace) bool {
	_, ok := t.Namespace(ns)
	return ok
}

func hasBelow(t config.Tree, ns events.Namespace) bool {
	for range t.Below(ns) {
		return true
	}
	return false
}
