package commands_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-config/holdfast/commands"
	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

// given is what happened before: one change set a line, "namespace: [commands]".
func given(t testing.TB, lines string) config.Tree {
	t.Helper()
	tree := config.Tree{}
	for line := range strings.Lines(lines) {
		ns, body, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok {
			continue
		}
		evs, err := decide(t, tree, ns, body)
		if err != nil {
			t.Fatalf("given %s: %v", line, err)
		}
		tree = evolve(tree, events.Namespace(ns), evs)
	}
	return tree
}

func decide(t testing.TB, tree config.Tree, ns, body string) ([]events.Event, error) {
	t.Helper()
	if !strings.HasPrefix(body, "{") {
		body = `{"commands": ` + body + `}`
	}
	cs, err := commands.Parse(events.Namespace(ns), "ann", []byte(body))
	if err != nil {
		t.Fatalf("parse %s: %v", body, err)
	}
	return commands.Decide(tree, cs)
}

// evolve applies events as the log would record them.
func evolve(tree config.Tree, ns events.Namespace, evs []events.Event) config.Tree {
	revision := events.Revision(1)
	if space, ok := tree.Namespace(ns); ok {
		revision = space.Revision + 1
	}
	for _, ev := range evs {
		tree = tree.Evolve(events.Recorded{Position: tree.Position() + 1, Namespace: ns, Revision: revision, Event: ev})
	}
	return tree
}

// shown writes events so that a table reads well: "value.set k 5".
func shown(t testing.TB, evs []events.Event) string {
	t.Helper()
	var lines []string
	for _, ev := range evs {
		s, err := events.Encode(ev)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.TrimSuffix(s.Type, ".v1")+" "+string(s.Key)+" "+string(s.Data))
	}
	return strings.Join(lines, "\n")
}

const pay = `
	pay: [{"do":"create"}, {"do":"define","key":"conns","definition":{"kind":"int","min":1,"max":100,"default":5}}, {"do":"define","key":"wait","definition":{"kind":"duration"}}]
	pay: [{"do":"define","key":"host","definition":{"kind":"string"}}, {"do":"define","key":"port","definition":{"kind":"int","requires":["host"]}}]
	pay.prod: [{"do":"create"}, {"do":"set","key":"conns","value":50}]
	free: [{"do":"create","open":true}, {"do":"set","key":"k","value":1}]
	free.closed: [{"do":"create"}]
`

func TestDecide(t *testing.T) {
	for _, tt := range []struct {
		name, given, ns, when string
		want                  string // events, or the text of the refusal
		err                   error
	}{
		// create
		{name: "create", ns: "a", when: `[{"do":"create","open":true,"description":"d","labels":{"x":"y"}}]`,
			want: `namespace.created  {"open":true,"description":"d","labels":{"x":"y"}}`},
		{name: "create again alike", given: pay, ns: "pay", when: `[{"do":"create"}]`},
		{name: "create again otherwise", given: pay, ns: "pay", when: `[{"do":"create","open":true}]`,
			want: `create pay: namespace "pay" exists already, not open`, err: commands.ErrNamespaceExists},
		{name: "create the reserved name", ns: "default", when: `[{"do":"create"}]`,
			want: `create default: namespace "default" is reserved: an entry from "default" has its value from its definition`, err: commands.ErrName},
		{name: "no namespace", given: pay, ns: "pay.tset", when: `[{"do":"set","key":"conns","value":1},{"do":"set","key":"wait","value":1}]`,
			want: `set pay.tset: namespace "pay.tset" does not exist; create it first`, err: commands.ErrNamespaceNotFound},
		{name: "create after use", ns: "a", when: `[{"do":"set","key":"k","value":1},{"do":"create","open":true}]`,
			want: `set a: namespace "a" does not exist; create it first`, err: commands.ErrNamespaceNotFound},
		{name: "create and use", ns: "a", when: `[{"do":"create","open":true},{"do":"set","key":"k","value":1}]`,
			want: "namespace.created  {\"open\":true}\nvalue.set k {\"value\":1}"},

		// define
		{name: "define", given: pay, ns: "pay", when: `[{"do":"define","key":"size","definition":{"kind":"size","default":"1024kib"}}]`,
			want: `key.defined size {"definition":{"kind":"size","default":"1MiB"}}`},
		{name: "define again alike", given: pay, ns: "pay", when: `[{"do":"define","key":"conns","definition":{"kind":"int","min":1,"max":1e2,"default":5.0,"labels":{}}}]`},
		{name: "define nonsense", given: pay, ns: "pay", when: `[{"do":"define","key":"x","definition":{"kind":"int","min":"a","pattern":"b"}}]`,
			want: `define pay/x: definition.min is not an int (a whole number between -9223372036854775808 and 9223372036854775807); define pay/x: definition.pattern makes no sense for kind int, only for string`,
			err:  commands.ErrInvalidDefinition},
		{name: "define against the own value", given: pay, ns: "pay.prod", when: `[{"do":"define","key":"conns","definition":{"kind":"int","max":49}}]`,
			want: `define pay.prod/conns: present values violate the definition: pay.prod/conns is above the maximum 49`, err: commands.ErrInvalidDefinition},
		{name: "define against a value below", given: pay, ns: "pay", when: `[{"do":"define","key":"conns","definition":{"kind":"bool"}}]`,
			want: `define pay/conns: present values violate the definition: pay.prod/conns is not a bool (true or false)`, err: commands.ErrInvalidDefinition},
		{name: "define against an inherited value", given: pay + `pay: [{"do":"set","key":"wait","value":"1m"}]`, ns: "pay.prod",
			when: `[{"do":"define","key":"wait","definition":{"kind":"duration","min":"2m"}}]`,
			want: `define pay.prod/wait: present values violate the definition: pay.prod/wait is below the minimum 2m`, err: commands.ErrInvalidDefinition},
		{name: "define and set in one", given: pay, ns: "pay.prod", when: `[{"do":"define","key":"conns","definition":{"kind":"string"}},{"do":"set","key":"conns","value":"many"}]`,
			want: "key.defined conns {\"definition\":{\"kind\":\"string\"}}\nvalue.set conns {\"value\":\"many\"}"},
		{name: "define under a value of an open namespace", given: pay, ns: "free", when: `[{"do":"define","key":"k","definition":{"kind":"int"}}]`,
			want: `key.defined k {"definition":{"kind":"int"}}`},

		// requires
		{name: "require what is missing", given: pay, ns: "pay", when: `[{"do":"define","key":"x","definition":{"kind":"int","requires":["y"]}}]`,
			want: `define pay/x: pay/x requires y, which does not exist, pay.prod/x requires y, which does not exist`, err: commands.ErrRequired},
		{name: "require each other", given: pay, ns: "pay", when: `[{"do":"define","key":"x","definition":{"kind":"int","requires":["y"]}},{"do":"define","key":"y","definition":{"kind":"int","requires":["x"]}}]`,
			want: "key.defined x {\"definition\":{\"kind\":\"int\",\"requires\":[\"y\"]}}\nkey.defined y {\"definition\":{\"kind\":\"int\",\"requires\":[\"x\"]}}"},
		{name: "require itself", given: pay, ns: "pay", when: `[{"do":"define","key":"x","definition":{"kind":"int","requires":["x"]}}]`,
			want: `define pay/x: definition.requires names the key itself`, err: commands.ErrInvalidDefinition},
		{name: "remove what is required", given: pay, ns: "pay", when: `[{"do":"remove","key":"host"}]`,
			want: `remove pay/host: pay/port requires host, which would be gone, pay.prod/port requires host, which would be gone`, err: commands.ErrRequired},
		{name: "remove both", given: pay, ns: "pay", when: `[{"do":"remove","key":"host"},{"do":"remove","key":"port"}]`,
			want: "key.removed host {}\nkey.removed port {}"},
		{name: "remove what is required and define it otherwise", given: pay, ns: "pay", when: `[{"do":"remove","key":"host"},{"do":"define","key":"host","definition":{"kind":"json"}}]`,
			want: "key.removed host {}\nkey.defined host {\"definition\":{\"kind\":\"json\"}}"},
		{name: "unset what is required, in an open namespace", given: pay + `free: [{"do":"define","key":"needy","definition":{"kind":"int","requires":["k"]}}]`, ns: "free",
			when: `[{"do":"unset","key":"k"}]`,
			want: `unset free/k: free/needy requires k, which would be gone, free.closed/needy requires k, which would be gone`, err: commands.ErrRequired},
		{name: "remove what is required, but not by the definition in force below", given: pay + `
			pay.prod: [{"do":"define","key":"x","definition":{"kind":"int"}},{"do":"define","key":"y","definition":{"kind":"int","requires":["x"]}}]
			pay.prod.eu: [{"do":"create"},{"do":"define","key":"y","definition":{"kind":"int"}}]`,
			ns: "pay.prod", when: `[{"do":"remove","key":"x"}]`,
			want: `remove pay.prod/x: pay.prod/y requires x, which would be gone`, err: commands.ErrRequired},
		{name: "remove what is required and redefine who requires it", given: pay, ns: "pay", when: `[{"do":"remove","key":"host"},{"do":"define","key":"port","definition":{"kind":"int","unit":"x","requires":["host"]}}]`,
			want: `remove pay/host: pay/port requires host, which does not exist, pay.prod/port requires host, which does not exist`, err: commands.ErrRequired},
		{name: "redefine so that the requirement is missing below", given: pay, ns: "pay.prod", when: `[{"do":"define","key":"conns","definition":{"kind":"int","requires":["nope"]}}]`,
			want: `define pay.prod/conns: pay.prod/conns requires nope, which does not exist`, err: commands.ErrRequired},

		// set
		{name: "set", given: pay, ns: "pay", when: `[{"do":"set","key":"wait","value":"90s"}]`, want: `value.set wait {"value":"1m30s"}`},
		{name: "set the same", given: pay, ns: "pay.prod", when: `[{"do":"set","key":"conns","value":5e1}]`},
		{name: "set the same in another writing", given: pay + `pay: [{"do":"set","key":"wait","value":"90s"}]`, ns: "pay", when: `[{"do":"set","key":"wait","value":"1m30s"}]`},
		{name: "set the same, set when the key was of another kind", given: pay + `
			pay: [{"do":"define","key":"t","definition":{"kind":"string"}},{"do":"set","key":"t","value":"90s"}]
			pay: [{"do":"define","key":"t","definition":{"kind":"duration"}}]`,
			ns: "pay", when: `[{"do":"set","key":"t","value":"90s"}]`},
		{name: "set what is inherited", given: pay, ns: "pay.prod", when: `[{"do":"set","key":"wait","value":"1s"},{"do":"set","key":"conns","value":5}]`,
			want: "value.set wait {\"value\":\"1s\"}\nvalue.set conns {\"value\":5}"},
		{name: "set out of bounds", given: pay, ns: "pay.prod", when: `[{"do":"set","key":"conns","value":101}]`,
			want: `set pay.prod/conns: is above the maximum 100`, err: commands.ErrInvalidValue},
		{name: "set unknown", given: pay, ns: "pay.prod", when: `[{"do":"set","key":"Cons","value":1}]`,
			want: `set pay.prod/Cons: unknown key "Cons"; did you mean "conns"?`, err: commands.ErrUnknownKey},
		{name: "set unknown, nothing near", given: pay, ns: "pay.prod", when: `[{"do":"set","key":"something.else","value":1}]`,
			want: `set pay.prod/something.else: unknown key "something.else"`, err: commands.ErrUnknownKey},
		{name: "set what was removed before", given: pay, ns: "pay", when: `[{"do":"remove","key":"wait"},{"do":"set","key":"wait","value":"1s"}]`,
			want: `set pay/wait: unknown key "wait"`, err: commands.ErrUnknownKey},
		{name: "set in an open namespace", given: pay, ns: "free", when: `[{"do":"set","key":"new","value":{"a":[1.50]}}]`, want: `value.set new {"value":{"a":[1.5]}}`},
		{name: "override an undefined value of an open ancestor", given: pay, ns: "free.closed", when: `[{"do":"set","key":"k","value":"x"}]`, want: `value.set k {"value":"x"}`},
		{name: "a closed namespace below an open one", given: pay, ns: "free.closed", when: `[{"do":"set","key":"new","value":1}]`,
			want: `set free.closed/new: unknown key "new"`, err: commands.ErrUnknownKey},
		{name: "set what a definition below forbids", given: pay + `pay.prod: [{"do":"define","key":"wait","definition":{"kind":"duration","max":"1m"}}]`, ns: "pay",
			when: `[{"do":"set","key":"wait","value":"2m"}]`,
			want: `set pay/wait: a definition does not allow what would show: pay.prod/wait is above the maximum 1m`, err: commands.ErrInvalidValue},
		{name: "define and set what a definition below forbids", given: pay + `pay.prod: [{"do":"define","key":"wait","definition":{"kind":"duration","max":"1m"}}]`, ns: "pay",
			when: `[{"do":"define","key":"wait","definition":{"kind":"duration","unit":"x"}},{"do":"set","key":"wait","value":"2m"}]`,
			want: `set pay/wait: a definition does not allow what would show: pay.prod/wait is above the maximum 1m`, err: commands.ErrInvalidValue},
		{name: "set what a definition below forbids, but it has a value", given: pay + `pay.prod: [{"do":"define","key":"wait","definition":{"kind":"duration","max":"1m"}},{"do":"set","key":"wait","value":"5s"}]`,
			ns: "pay", when: `[{"do":"set","key":"wait","value":"2m"}]`, want: `value.set wait {"value":"2m"}`},

		// tag, untag
		{name: "tag a revision", given: pay, ns: "pay", when: `[{"do":"tag","tag":"v1","revision":1}]`, want: `namespace.tagged  {"tag":"v1","revision":1}`},
		{name: "tag what the change set makes", given: pay, ns: "pay", when: `[{"do":"set","key":"conns","value":6},{"do":"tag","tag":"v1"}]`,
			want: "value.set conns {\"value\":6}\nnamespace.tagged  {\"tag\":\"v1\"}"},
		{name: "tag a revision that is not reached", given: pay, ns: "pay", when: `[{"do":"set","key":"conns","value":6},{"do":"tag","tag":"v1","revision":3}]`,
			want: `tag pay: revision 3 is not reached, the namespace is at 2`, err: events.ErrUnknownPoint},
		{name: "tag again alike", given: pay + `pay: [{"do":"tag","tag":"v1","revision":1}]`, ns: "pay", when: `[{"do":"tag","tag":"v1","revision":1}]`},
		{name: "tag in use", given: pay + `pay: [{"do":"tag","tag":"v1","revision":1}]`, ns: "pay", when: `[{"do":"tag","tag":"v1","revision":2}]`,
			want: `tag pay: tag "v1" names revision 1; untag it first`, err: commands.ErrTagInUse},
		{name: "tag in use by its own revision", given: pay + `pay: [{"do":"tag","tag":"v1"}]`, ns: "pay", when: `[{"do":"tag","tag":"v1"}]`,
			want: `tag pay: tag "v1" names revision 3; untag it first`, err: commands.ErrTagInUse},
		{name: "move a tag", given: pay + `pay: [{"do":"tag","tag":"v1"}]`, ns: "pay", when: `[{"do":"untag","tag":"v1"},{"do":"tag","tag":"v1","revision":2}]`,
			want: "namespace.untagged  {\"tag\":\"v1\"}\nnamespace.tagged  {\"tag\":\"v1\",\"revision\":2}"},
		{name: "tags are not inherited", given: pay + `pay: [{"do":"tag","tag":"v1"}]`, ns: "pay.prod", when: `[{"do":"untag","tag":"v1"}]`,
			want: `untag pay.prod: there is no tag "v1"`, err: events.ErrUnknownPoint},

		// unset
		{name: "unset", given: pay, ns: "pay.prod", when: `[{"do":"unset","key":"conns"}]`, want: `value.unset conns {}`},
		{name: "unset where nothing is set", given: pay, ns: "pay.prod", when: `[{"do":"unset","key":"wait"}]`},
		{name: "unset unknown", given: pay, ns: "pay.prod", when: `[{"do":"unset","key":"wiat"}]`,
			want: `unset pay.prod/wiat: unknown key "wiat"; did you mean "wait"?`, err: commands.ErrUnknownKey},
		{name: "unset so that a wrong value shows", given: pay + `
			pay.prod: [{"do":"define","key":"wait","definition":{"kind":"duration","max":"1m"}},{"do":"set","key":"wait","value":"5s"}]
			pay: [{"do":"set","key":"wait","value":"2m"}]`,
			ns: "pay.prod", when: `[{"do":"unset","key":"wait"}]`,
			want: `unset pay.prod/wait: a definition does not allow what would show: pay.prod/wait is above the maximum 1m`, err: commands.ErrInvalidValue},
		{name: "unset below which a value would be left alone", given: pay + `free.closed: [{"do":"set","key":"k","value":2}]`, ns: "free", when: `[{"do":"unset","key":"k"}]`,
			want: `unset free/k: free.closed/k has a value that would be left without a definition`, err: commands.ErrRequired},

		// remove
		{name: "remove", given: pay, ns: "pay.prod", when: `[{"do":"remove","key":"conns"}]`, want: `key.removed conns {}`},
		{name: "remove what is inherited", given: pay, ns: "pay.prod", when: `[{"do":"remove","key":"wait"}]`,
			want: `remove pay.prod/wait: key "wait" has nothing to remove here; it comes from pay`, err: commands.ErrUnknownKey},
		{name: "remove unknown", given: pay, ns: "pay", when: `[{"do":"remove","key":"hots"}]`,
			want: `remove pay/hots: unknown key "hots"; did you mean "host"?`, err: commands.ErrUnknownKey},
		{name: "remove a definition that a value below needs", given: pay, ns: "pay", when: `[{"do":"remove","key":"conns"}]`,
			want: `remove pay/conns: pay.prod/conns has a value that would be left without a definition`, err: commands.ErrRequired},
		{name: "remove a definition so that values below fall under another", given: pay + `
			pay.prod: [{"do":"define","key":"conns","definition":{"kind":"int"}}]
			pay.prod.eu: [{"do":"create"},{"do":"set","key":"conns","value":500}]`,
			ns: "pay.prod", when: `[{"do":"remove","key":"conns"}]`,
			want: `remove pay.prod/conns: present values violate the definition: pay.prod.eu/conns is above the maximum 100`, err: commands.ErrInvalidDefinition},

		// a namespace between
		{name: "create between, against a value below", given: pay + `pay.test.eu: [{"do":"create","open":true},{"do":"set","key":"wait","value":5}]`, ns: "pay.test", when: `[{"do":"create"}]`,
			want: `create pay.test: present values violate the definition: pay.test.eu/wait is not a duration (a string such as "1m30s"; units ns, us, ms, s, m, h)`, err: commands.ErrInvalidDefinition},
		{name: "create between", given: pay + `pay.test.eu: [{"do":"create","open":true},{"do":"set","key":"wait","value":"5s"}]`, ns: "pay.test", when: `[{"do":"create"}]`,
			want: `namespace.created  {}`},

		// expectations
		{name: "expected revision", given: pay, ns: "pay", when: `{"expect":{"revision":2},"commands":[{"do":"set","key":"wait","value":"1s"}]}`, want: `value.set wait {"value":"1s"}`},
		{name: "another revision", given: pay, ns: "pay", when: `{"expect":{"revision":4},"commands":[{"do":"set","key":"wait","value":"1s"}]}`,
			want: `pay: expected revision 4, is 2`, err: commands.ErrConflict},
		{name: "expected not to exist", given: pay, ns: "pay", when: `{"expect":{"revision":0},"commands":[{"do":"create"}]}`, want: `pay: expected revision 0, is 2`, err: commands.ErrConflict},
		{name: "expected not to exist, and does not", ns: "pay", when: `{"expect":{"revision":0},"commands":[{"do":"create"}]}`, want: `namespace.created  {}`},
		{name: "key as expected", given: pay, ns: "pay.prod", when: `[{"do":"set","key":"conns","value":51,"expect":{"revision":1,"position":7}}]`, want: `value.set conns {"value":51}`},
		{name: "key set since", given: pay, ns: "pay.prod", when: `[{"do":"set","key":"conns","value":51,"expect":{"revision":4}}]`,
			want: `set pay.prod/conns: expected revision 4, is 1`, err: commands.ErrConflict},
		{name: "key not expected to be set", given: pay, ns: "pay.prod", when: `[{"do":"unset","key":"conns","expect":{"revision":0}}]`,
			want: `unset pay.prod/conns: expected revision 0, is 1`, err: commands.ErrConflict},
		{name: "inherited entry as expected", given: pay, ns: "pay.prod", when: `[{"do":"set","key":"wait","value":"1s","expect":{"revision":0,"position":0}}]`, want: `value.set wait {"value":"1s"}`},
		{name: "effective entry changed", given: pay, ns: "pay.prod", when: `[{"do":"set","key":"conns","value":51,"expect":{"position":2}}]`,
			want: `set pay.prod/conns: expected position 2, is 7`, err: commands.ErrConflict},
		{name: "definition as expected", given: pay, ns: "pay", when: `[{"do":"define","key":"wait","definition":{"kind":"string"},"expect":{"revision":1}}]`,
			want: `key.defined wait {"definition":{"kind":"string"}}`},
		{name: "definition changed", given: pay, ns: "pay", when: `[{"do":"remove","key":"wait","expect":{"revision":2}}]`,
			want: `remove pay/wait: expected revision 2, is 1`, err: commands.ErrConflict},
		{name: "expectations are about what was before the change set", given: pay, ns: "pay.prod",
			when: `[{"do":"set","key":"conns","value":51,"expect":{"revision":1}},{"do":"set","key":"conns","value":52,"expect":{"revision":1}}]`,
			want: "value.set conns {\"value\":51}\nvalue.set conns {\"value\":52}"},

		// several
		{name: "all problems are told, once each", given: pay, ns: "pay",
			when: `[{"do":"set","key":"nope","value":1},{"do":"set","key":"nope","value":2},{"do":"set","key":"conns","value":0},{"do":"set","key":"wait","value":"1s"},{"do":"unset","key":"conns","expect":{"revision":9}}]`,
			want: `set pay/nope: unknown key "nope"; set pay/conns: is below the minimum 1; unset pay/conns: expected revision 9, is 0`, err: commands.ErrUnknownKey},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tree := given(t, tt.given)
			evs, err := decide(t, tree, tt.ns, tt.when)
			if !errors.Is(err, tt.err) {
				t.Errorf("got the error %v, want %v", err, tt.err)
			}
			got := shown(t, evs)
			if err != nil {
				got += err.Error()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if err == nil { // deciding it again on what it led to changes nothing, unless it expects, removes or names what it made
				checkRepeat(t, evolve(tree, events.Namespace(tt.ns), evs), tt.ns, tt.when)
			}
		})
	}
}

func checkRepeat(t *testing.T, tree config.Tree, ns, when string) {
	t.Helper()
	if strings.Contains(when, "expect") || strings.Contains(when, "remove") || strings.Contains(when, "unset") ||
		strings.Contains(when, "untag") || strings.Contains(when, `"tag":"v1"}`) {
		return
	}
	if evs, err := decide(t, tree, ns, when); err != nil || len(evs) > 0 {
		t.Errorf("the second time: %s, %v", shown(t, evs), err)
	}
}

func TestProblemsPointAtTheirPlace(t *testing.T) {
	tree := given(t, pay+`pay.prod: [{"do":"set","key":"wait","value":"1s"}]`)
	_, err := decide(t, tree, "pay", `{"expect":{"revision":1},"commands":[
		{"do":"set","key":"wait","value":"2s"},
		{"do":"set","key":"wiat","value":"2s"},
		{"do":"define","key":"x","definition":{"kind":"int","enum":[1,"a"]}},
		{"do":"unset","key":"conns","expect":{"position":7}}]}`)
	var refused *commands.Refused
	if !errors.As(err, &refused) {
		t.Fatal(err)
	}
	var got []string
	for _, p := range refused.Problems {
		got = append(got, fmt.Sprintf("%s %s %s: %v", p.Pointer(), p.Do, p.Key, p.Err))
	}
	want := []string{
		"/expect/revision  : conflict",
		"/commands/1/key set wiat: unknown key",
		"/commands/2/definition/enum/1 define x: invalid definition",
		"/commands/3/expect/position unset conns: conflict",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if refused.Problems[1].Suggestion != "wait" {
		t.Errorf("suggestion: got %q", refused.Problems[1].Suggestion)
	}
}

func TestViolationsAreListed(t *testing.T) {
	lines := pay
	for i := range 30 {
		lines += fmt.Sprintf("pay.n%02d: [{\"do\":\"create\"},{\"do\":\"set\",\"key\":\"conns\",\"value\":90}]\n", i)
	}
	_, err := decide(t, given(t, lines), "pay", `[{"do":"define","key":"conns","definition":{"kind":"int","max":60}}]`)
	var refused *commands.Refused
	if !errors.As(err, &refused) || len(refused.Problems) != 1 {
		t.Fatal(err)
	}
	p := refused.Problems[0]
	if len(p.Violations) != 20 || p.Violations[0] != (commands.Violation{Namespace: "pay.n00", Key: "conns", Detail: "is above the maximum 60"}) {
		t.Errorf("%d violations, the first %+v", len(p.Violations), p.Violations[0])
	}
	if want := "pay.n02/conns is above the maximum 60 and 27 more"; !strings.HasSuffix(p.Detail, want) {
		t.Errorf("detail: got %s, want it to end in %s", p.Detail, want)
	}
}

func TestManyProblemsAreCut(t *testing.T) {
	var cmds []string
	for i := range 50 {
		cmds = append(cmds, fmt.Sprintf(`{"do":"set","key":"unknown%d","value":1}`, i))
	}
	_, err := decide(t, given(t, pay), "pay", "["+strings.Join(cmds, ",")+"]")
	var refused *commands.Refused
	if !errors.As(err, &refused) {
		t.Fatal(err)
	}
	if n := len(refused.Problems); n != 21 {
		t.Errorf("%d problems are told, want 20 and one about the rest", n)
	}
	if !strings.HasSuffix(err.Error(), "; pay: and 30 more problems") {
		t.Errorf("got %s", err)
	}
}

func TestNearestIsDeterministic(t *testing.T) {
	tree := given(t, `a: [{"do":"create","open":true},{"do":"set","key":"kb","value":1},{"do":"set","key":"ka","value":1},{"do":"set","key":"kc","value":1}]
		a.b: [{"do":"create"}]`)
	for range 20 {
		_, err := decide(t, tree, "a.b", `[{"do":"set","key":"k","value":1}]`)
		if want := `set a.b/k: unknown key "k"; did you mean "ka"?`; err == nil || err.Error() != want {
			t.Fatalf("got %v, want %s", err, want)
		}
	}
}

func ExampleDecide() {
	tree := config.Tree{}
	cs, err := commands.Parse("payments", "ann", []byte(`{"reason": "start", "commands": [
		{"do": "create"},
		{"do": "define", "key": "work_mem", "definition": {"kind": "size", "min": "64KiB"}}]}`))
	if err != nil {
		fmt.Println(err)
	}
	evs, err := commands.Decide(tree, cs)
	fmt.Println(len(evs), "events,", err)
	for i, ev := range evs {
		tree = tree.Evolve(events.Recorded{Position: events.Position(i + 1), Namespace: cs.Namespace, Revision: 1, Event: ev})
	}
	for _, key := range []events.Key{"wrk_mem", "work_mem"} {
		_, err = commands.Decide(tree, commands.ChangeSet{
			Namespace: "payments", Actor: "ann", Commands: []commands.Command{commands.Set{Key: key, Value: `"1kB"`}},
		})
		fmt.Println(err)
	}
	// Output:
	// 2 events, <nil>
	// set payments/wrk_mem: unknown key "wrk_mem"; did you mean "work_mem"?
	// set payments/work_mem: is below the minimum 64KiB
}

// One schema may ask for much, within its limit; a change set that asks for it again and again is refused, and soon: while
// it is decided, nothing else is.
func TestDecideBoundsWhatSchemasTake(t *testing.T) {
	defs := []string{`"d16":{}`}
	for i := range 16 { // each twice what the next asks for
		defs = append(defs, fmt.Sprintf(`"d%d":{"allOf":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]}`, i, i+1, i+1))
	}
	schema, err := events.ParseValue([]byte(`{"$ref":"#/$defs/d0","$defs":{` + strings.Join(defs, ",") + `}}`))
	if err != nil {
		t.Fatal(err)
	}
	tree := config.Tree{}
	for i, ev := range []events.Event{
		events.NamespaceCreated{},
		events.KeyDefined{Key: "k", Definition: events.Definition{Kind: events.JSON, Schema: schema}},
	} {
		tree = tree.Evolve(events.Recorded{Position: events.Position(i + 1), Namespace: "a", Revision: 1, Event: ev})
	}
	cs := commands.ChangeSet{Namespace: "a", Actor: "ann"}
	for i := range events.MaxChangeSetCommands {
		cs.Commands = append(cs.Commands, commands.Set{Key: "k", Value: events.Value(fmt.Sprint(i))})
		if i == 0 {
			if _, err := commands.Decide(tree, cs); err != nil {
				t.Fatalf("one alone: %v", err)
			}
		}
	}
	if _, err := commands.Decide(tree, cs); !errors.Is(err, commands.ErrInvalidValue) || !strings.Contains(err.Error(), "post less at once") {
		t.Errorf("values: got %v", err)
	}
	for i := range cs.Commands {
		cs.Commands[i] = commands.Define{Key: "l", Definition: events.Definition{Kind: events.JSON, Schema: schema, Default: events.Value(fmt.Sprint(i))}}
	}
	if _, err := commands.Decide(tree, cs); !errors.Is(err, commands.ErrInvalidDefinition) || !strings.Contains(err.Error(), "post less at once") {
		t.Errorf("definitions: got %v", err)
	}
}

func TestTagsAreBounded(t *testing.T) {
	f := config.NewFold(config.Tree{})
	f.Apply(events.Recorded{Position: 1, Namespace: "pay", Revision: 1, Event: events.NamespaceCreated{}})
	for i := range events.MaxTags {
		f.Apply(events.Recorded{Position: events.Position(i + 2), Namespace: "pay", Revision: 1, Event: events.NamespaceTagged{Tag: events.Tag(fmt.Sprint("v", i))}})
	}
	if _, err := decide(t, f.Tree(), "pay", `[{"do":"tag","tag":"one-more"}]`); !errors.Is(err, commands.ErrLimit) {
		t.Errorf("one more: got %v", err)
	}
	if _, err := decide(t, f.Tree(), "pay", `[{"do":"untag","tag":"v7"},{"do":"tag","tag":"one-more"}]`); err != nil {
		t.Errorf("one for another: got %v", err)
	}
}

// What is sensitive above stays so below: a refusal names no place inside the value.
func TestRefusalNamesNoPlaceInWhatIsSensitiveAbove(t *testing.T) {
	schema := `"kind":"json","schema":{"type":"object","additionalProperties":{"type":"integer"}}`
	tree := given(t, `a: [{"do":"create"},{"do":"define","key":"k","definition":{`+schema+`,"sensitive":true}}]
		a.b: [{"do":"create"},{"do":"define","key":"k","definition":{`+schema+`}}]`)
	_, err := commands.Decide(tree, commands.ChangeSet{Namespace: "a.b", Actor: "ann", Commands: []commands.Command{
		commands.Set{Key: "k", Value: `{"s3cret":"x"}`},
	}})
	if !errors.Is(err, commands.ErrInvalidValue) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v", err)
	}
}
