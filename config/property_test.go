package config_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

var (
	someSpaces = []events.Namespace{"a", "a.b", "a.b.c", "a.b.c.d", "a.x", "a.b-c"}
	someKeys   = []events.Key{"k", "l", "m.n", "o"}
)

// anyHistory draws change sets as the log may hold them: a namespace's first event creates it. Whether commands would
// allow them does not matter to the fold.
func anyHistory(t *rapid.T) (h []events.Recorded) {
	revisions := map[events.Namespace]events.Revision{}
	for range rapid.IntRange(1, 25).Draw(t, "change sets") {
		ns := rapid.SampledFrom(someSpaces).Draw(t, "namespace")
		revisions[ns]++
		evs := rapid.SliceOfN(anyEvent(), 1, 4).Draw(t, "events")
		if revisions[ns] == 1 {
			evs = slices.Insert(evs, 0, events.Event(events.NamespaceCreated{Open: rapid.Bool().Draw(t, "open"), Labels: map[string]string{"n": string(ns)}}))
		}
		for _, ev := range evs {
			h = append(h, recorded(events.Position(len(h)+1), ns, revisions[ns], ev))
		}
	}
	return h
}

func anyEvent() *rapid.Generator[events.Event] {
	return rapid.Custom(func(t *rapid.T) events.Event {
		key := rapid.SampledFrom(someKeys).Draw(t, "key")
		value := rapid.SampledFrom([]events.Value{"1", "2", `"90s"`, `"1m30s"`, "null"})
		switch rapid.IntRange(0, 7).Draw(t, "type") {
		case 0:
			return events.KeyDefined{Key: key, Definition: events.Definition{
				Kind:      rapid.SampledFrom(events.Kinds).Draw(t, "kind"),
				Default:   rapid.SampledFrom([]events.Value{"", "3"}).Draw(t, "default"),
				Sensitive: rapid.Bool().Draw(t, "sensitive"),
			}}
		case 1:
			return events.KeyRemoved{Key: key}
		case 2:
			return events.ValueUnset{Key: key}
		case 3:
			return events.NamespaceTagged{Tag: events.Tag(key), Revision: events.Revision(rapid.IntRange(0, 3).Draw(t, "revision"))}
		case 4:
			return events.NamespaceUntagged{Tag: events.Tag(key)}
		case 5:
			return events.NamespaceRestored{Namespace: "a", Revision: 1, Position: 1}
		}
		return events.ValueSet{Key: key, Value: value.Draw(t, "value")}
	})
}

// surviving keeps of a history what a load reads: per key the last definition or removal and the last set, unset or
// removal; all that is about a namespace itself.
func surviving(h []events.Recorded) (kept []events.Recorded) {
	type address struct {
		ns   events.Namespace
		key  events.Key
		what string
	}
	last := map[address]events.Position{}
	for _, ev := range h {
		key := events.KeyOf(ev.Event)
		last[address{ev.Namespace, "", "last"}] = ev.Position
		switch ev.Event.(type) {
		case events.NamespaceCreated, events.NamespaceTagged, events.NamespaceUntagged, events.NamespaceRestored:
			last[address{ev.Namespace, "", fmt.Sprint(ev.Position)}] = ev.Position
		case events.KeyDefined:
			last[address{ev.Namespace, key, "definition"}] = ev.Position
		case events.ValueSet, events.ValueUnset:
			last[address{ev.Namespace, key, "value"}] = ev.Position
		case events.KeyRemoved:
			last[address{ev.Namespace, key, "definition"}] = ev.Position
			last[address{ev.Namespace, key, "value"}] = ev.Position
		}
	}
	positions := slices.Sorted(maps.Values(last))
	for _, pos := range slices.Compact(positions) {
		kept = append(kept, h[pos-1])
	}
	return kept
}

func TestSurvivingEventsGiveTheSameTree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := anyHistory(t)
		full, loaded := history(h).tree(), history(surviving(h)).tree()
		if !full.Equal(loaded) {
			t.Fatalf("the fold of %d events and that of the %d surviving ones differ", len(h), len(surviving(h)))
		}
		if full.Len() != loaded.Len() {
			t.Fatalf("%d keys, loaded %d", full.Len(), loaded.Len())
		}
	})
}

func TestEvolveIsFold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := anyHistory(t)
		stop := rapid.IntRange(0, len(h)).Draw(t, "stop")
		evolved, between := config.Tree{}, config.Tree{}
		f := config.NewFold(config.Tree{})
		for i, ev := range h {
			if i == stop {
				between = f.Tree()
			}
			evolved = evolved.Evolve(ev)
			f.Apply(ev)
		}
		if got := f.Tree(); !evolved.Equal(got) || evolved.Len() != got.Len() {
			t.Fatalf("Evolve and Fold differ, with %d and %d keys", evolved.Len(), got.Len())
		}
		if stop < len(h) && !between.Equal(history(h[:stop]).tree()) {
			t.Fatal("a tree that a fold handed out has changed")
		}
	})
}

// TestEffectiveAgrees holds the iterators against the rule of inheritance written down another way.
func TestEffectiveAgrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree := history(anyHistory(t)).tree()
		for ns := range tree.Namespaces() {
			all := entries(tree, ns.Name)
			if !slices.IsSorted(slices.Collect(tree.Keys(ns.Name))) {
				t.Fatal("keys are not sorted")
			}
			for _, key := range someKeys {
				want, ok := expected(tree, ns.Name, key)
				got, has := tree.Effective(ns.Name, key)
				listed, isListed := all[key]
				if got != want || ok != has || listed != want || isListed != has {
					t.Fatalf("%s/%s: got %+v, listed %+v, want %+v", ns.Name, key, got, listed, want)
				}
			}
		}
	})
}

// expected is the effective value by a walk over the labels of the name.
func expected(t config.Tree, name events.Namespace, key events.Key) (e config.Entry, ok bool) {
	definition, sensitive := (*config.Definition)(nil), false
	for at, more := name, true; more; at, more = at.Parent() {
		ns, exists := t.Namespace(at)
		if !exists {
			break
		}
		own, _ := ns.Key(key)
		if definition == nil {
			definition = own.Definition
		}
		sensitive = sensitive || own.Definition != nil && own.Definition.Sensitive
		if !ok && own.Value != "" {
			e, ok = config.Entry{Value: own.Value, Revision: own.SetRevision, Position: own.SetPosition, From: string(at)}, true
		}
	}
	switch {
	case definition == nil:
		if ok {
			e.Kind = config.Infer(e.Value)
		}
		return e, ok
	case !ok && definition.Default != "":
		e, ok = config.Entry{Value: definition.Default, Revision: definition.Revision, Position: definition.Position, From: "default"}, true
	}
	if ok {
		e.Kind, e.Sensitive = definition.Kind, sensitive
		if v, err := config.Canonical(e.Kind, e.Value); err == nil && e.From != "default" {
			e.Value = v
		}
	}
	return e, ok
}

func TestChangesLeadFromBeforeToAfter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := config.Tree{}
		for cs := range events.ChangeSets(anyHistory(t)) {
			after := before
			for _, ev := range cs {
				after = after.Evolve(ev)
			}
			changes := config.Changes(before, after, cs)
			if len(changes) == 0 || changes[0].Namespace != cs[0].Namespace || changes[0].Revision != cs[0].Revision {
				t.Fatalf("the change set of %s revision %d is not first: %+v", cs[0].Namespace, cs[0].Revision, changes)
			}
			checkChanges(t, before, after, changes)
			before = after
		}
	})
}

func checkChanges(t *rapid.T, before, after config.Tree, changes []config.ViewChange) {
	views := map[events.Namespace]map[events.Key]config.Entry{}
	for ns := range after.Namespaces() {
		views[ns.Name] = entries(before, ns.Name)
	}
	for i, vc := range changes {
		if ns, _ := after.Namespace(vc.Namespace); vc.Revision != ns.Revision {
			t.Fatalf("%s: revision %d, want %d", vc.Namespace, vc.Revision, ns.Revision)
		}
		if i > 0 && len(vc.Changes) == 0 {
			t.Fatalf("%s is listed without a change", vc.Namespace)
		}
		if !slices.IsSortedFunc(vc.Changes, func(a, b config.Change) int { return cmpKeys(a.Key, b.Key) }) {
			t.Fatalf("%s: changes are not sorted", vc.Namespace)
		}
		for _, c := range vc.Changes {
			old, had := views[vc.Namespace][c.Key]
			if had != (c.Old != nil) || had && *c.Old != old || c.New != nil && had && *c.New == old || c.Old == nil && c.New == nil {
				t.Fatalf("%s/%s: from %+v to %+v, was %+v", vc.Namespace, c.Key, c.Old, c.New, old)
			}
			delete(views[vc.Namespace], c.Key)
			if c.New != nil {
				views[vc.Namespace][c.Key] = *c.New
			}
		}
	}
	for ns, view := range views {
		if diff := cmp.Diff(entries(after, ns), view); diff != "" {
			t.Fatalf("%s after the changes (-want +got):\n%s", ns, diff)
		}
	}
}

func cmpKeys(a, b events.Key) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// TestCreatingBetweenStartsInheritance: a namespace whose parent comes into being later begins to inherit then.
func TestCreatingBetweenStartsInheritance(t *testing.T) {
	var h history
	h.add("a", created(), define("k", events.Definition{Kind: events.Int, Default: "1"}), set("k", "2"))
	h.add("a.b.c", created())
	before := h.tree()
	h.add("a.b", created())
	changes := config.Changes(before, h.tree(), h[len(h)-1:])
	entry := &config.Entry{Value: "2", Kind: events.Int, Revision: 3, Position: 3, From: "a"}
	want := []config.ViewChange{
		{Namespace: "a.b", Revision: 1, Changes: []config.Change{{Key: "k", New: entry}}},
		{Namespace: "a.b.c", Revision: 1, Changes: []config.Change{{Key: "k", New: entry}}},
	}
	if diff := cmp.Diff(want, changes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := config.Changes(before, before, nil); got != nil {
		t.Errorf("no events: got %+v", got)
	}
}

func TestEqualSeesDifferences(t *testing.T) {
	base := func() history {
		var h history
		h.add("a", created(), define("k", events.Definition{Kind: events.Int}), set("k", "1"))
		return h
	}
	for name, change := range map[string]func(*events.Recorded){
		"value":      func(ev *events.Recorded) { ev.Event = set("k", "2") },
		"key":        func(ev *events.Recorded) { ev.Event = set("l", "1") },
		"definition": func(ev *events.Recorded) { ev.Event = define("k", events.Definition{Kind: events.Float}) },
		"revision":   func(ev *events.Recorded) { ev.Revision++ },
		"position":   func(ev *events.Recorded) { ev.Position++ },
		"namespace":  func(ev *events.Recorded) { ev.Namespace = "a.b" },
	} {
		h, other := base(), base()
		change(&other[2])
		if h.tree().Equal(other.tree()) {
			t.Errorf("another %s is not seen", name)
		}
		if !h.tree().Equal(base().tree()) {
			t.Error("equal trees are not equal")
		}
	}
}
