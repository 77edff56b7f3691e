package config_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

func recorded(pos events.Position, ns events.Namespace, rev events.Revision, ev events.Event) events.Recorded {
	at := time.Date(2026, 11, 20, 0, 0, int(pos), 0, time.UTC)
	return events.Recorded{Position: pos, Namespace: ns, Revision: rev, Time: at, Actor: "ann", Reason: "test", Event: ev}
}

// history gives events, which are "namespace" followed by what happens there, positions and revisions: each event is a
// change set of its own.
type history []events.Recorded

func (h *history) add(ns events.Namespace, evs ...events.Event) {
	for _, ev := range evs {
		rev := events.Revision(1)
		for _, was := range *h {
			if was.Namespace == ns {
				rev = was.Revision + 1
			}
		}
		*h = append(*h, recorded(events.Position(len(*h)+1), ns, rev, ev))
	}
}

func (h history) tree() config.Tree {
	f := config.NewFold(config.Tree{})
	for _, ev := range h {
		f.Apply(ev)
	}
	return f.Tree()
}

func define(key events.Key, d events.Definition) events.Event {
	return events.KeyDefined{Key: key, Definition: d}
}
func set(key events.Key, v events.Value) events.Event { return events.ValueSet{Key: key, Value: v} }
func created() events.Event                           { return events.NamespaceCreated{} }

func entries(t config.Tree, ns events.Namespace) map[events.Key]config.Entry {
	return maps.Collect(t.Entries(ns))
}

func TestInheritance(t *testing.T) {
	var h history
	h.add("pay", created(),
		define("conns", events.Definition{Kind: events.Int, Default: "5"}),
		define("wait", events.Definition{Kind: events.Duration, Sensitive: true}),
		define("bare", events.Definition{Kind: events.Bool}),
		set("wait", `"1m"`))
	h.add("pay.prod", created(), set("conns", "7"), define("wait", events.Definition{Kind: events.String}))
	h.add("pay.prod.eu", events.NamespaceCreated{Open: true}, set("free", "1.5"), set("conns", "9"))
	h.add("pay.test.eu", created()) // pay.test is missing: the chain ends
	tree := h.tree()
	for ns, want := range map[events.Namespace]map[events.Key]config.Entry{
		"pay": {
			"conns": {Value: "5", Kind: events.Int, Revision: 2, Position: 2, From: "default"},
			"wait":  {Value: `"1m"`, Kind: events.Duration, Revision: 5, Position: 5, From: "pay", Sensitive: true},
		},
		"pay.prod": {
			"conns": {Value: "7", Kind: events.Int, Revision: 2, Position: 7, From: "pay.prod"},
			"wait":  {Value: `"1m"`, Kind: events.String, Revision: 5, Position: 5, From: "pay", Sensitive: true},
		},
		"pay.prod.eu": {
			"conns": {Value: "9", Kind: events.Int, Revision: 3, Position: 11, From: "pay.prod.eu"},
			"wait":  {Value: `"1m"`, Kind: events.String, Revision: 5, Position: 5, From: "pay", Sensitive: true},
			"free":  {Value: "1.5", Kind: events.Float, Revision: 2, Position: 10, From: "pay.prod.eu"},
		},
		"pay.test.eu": {},
		"pay.test":    {},
	} {
		if diff := cmp.Diff(want, entries(tree, ns)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", ns, diff)
		}
	}
	if d, from, ok := tree.Definition("pay.prod.eu", "wait"); !ok || from != "pay.prod" || d.Kind != events.String || d.Revision != 3 || d.Position != 8 {
		t.Errorf("definition of wait in pay.prod.eu: %+v from %q, %v", d, from, ok)
	}
	if got := slices.Collect(tree.Keys("pay.prod.eu")); !slices.Equal(got, []events.Key{"bare", "conns", "free", "wait"}) {
		t.Errorf("keys of pay.prod.eu: %v", got)
	}
	if !tree.Known("pay.prod", "bare") || tree.Known("pay.prod", "free") || tree.Known("pay.test.eu", "bare") {
		t.Error("known: bare should be in pay.prod, and neither free there nor bare in pay.test.eu")
	}
	var defs []string
	for key, d := range tree.Definitions("pay.prod.eu") {
		defs = append(defs, fmt.Sprint(key, " ", d.From))
	}
	if diff := cmp.Diff([]string{"bare pay", "conns pay", "wait pay.prod"}, defs); diff != "" {
		t.Errorf("definitions (-want +got):\n%s", diff)
	}
}

// TestValueIsWrittenAsTheKindInForce: a string that was set before its key became a duration, or above where it is one.
func TestValueIsWrittenAsTheKindInForce(t *testing.T) {
	var h history
	h.add("pay", created(), define("wait", events.Definition{Kind: events.String}), set("wait", `"90s"`))
	h.add("pay.prod", created(), define("wait", events.Definition{Kind: events.Duration}))
	if got, _ := h.tree().Effective("pay", "wait"); got.Value != `"90s"` {
		t.Errorf("pay: got %s", got.Value)
	}
	if got, _ := h.tree().Effective("pay.prod", "wait"); got.Value != `"1m30s"` || got.Kind != events.Duration {
		t.Errorf("pay.prod: got %s", got.Value)
	}
}

func names(t *testing.T, spaces func(func(*config.Namespace) bool)) (all []events.Namespace) {
	t.Helper()
	for ns := range spaces {
		all = append(all, ns.Name)
	}
	return all
}

func TestNamespaces(t *testing.T) {
	var h history
	for _, ns := range []events.Namespace{"a.c.d", "a", "a.b", "a-b", "a.b-c", "a.b.c", "a.x.y", "a.b.c.d"} {
		h.add(ns, created())
	}
	tree := h.tree()
	if diff := cmp.Diff([]events.Namespace{"a", "a-b", "a.b", "a.b-c", "a.b.c", "a.b.c.d", "a.c.d", "a.x.y"}, names(t, tree.Namespaces())); diff != "" {
		t.Errorf("namespaces (-want +got):\n%s", diff)
	}
	for ns, want := range map[events.Namespace][]events.Namespace{
		"a": {"a.b", "a.b-c", "a.b.c", "a.b.c.d"}, "a.b": {"a.b.c", "a.b.c.d"}, "a.b.c.d": nil, "a.c": nil, "none": nil,
	} {
		if diff := cmp.Diff(want, names(t, tree.Below(ns))); diff != "" {
			t.Errorf("below %s (-want +got):\n%s", ns, diff)
		}
	}
	if diff := cmp.Diff([]events.Namespace{"a.b.c", "a.b", "a"}, names(t, tree.Chain("a.b.c"))); diff != "" {
		t.Errorf("chain (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]events.Namespace(nil), names(t, tree.Chain("a.c"))); diff != "" {
		t.Errorf("chain of a missing namespace (-want +got):\n%s", diff)
	}
}

func TestOwnState(t *testing.T) {
	var h history
	h.add("a", events.NamespaceCreated{Open: true, Description: "all", Labels: map[string]string{"x": "y"}},
		set("k", "1"), define("k", events.Definition{Kind: events.Int}), events.ValueUnset{Key: "k"}, set("l", "2"),
		events.ValueUnset{Key: "l"}, set("m", "3"), events.KeyRemoved{Key: "m"}, events.ValueUnset{Key: "never"}, events.KeyRemoved{Key: "never"})
	tree := h.tree()
	ns, ok := tree.Namespace("a")
	if !ok || !ns.Open || ns.Description != "all" || ns.Labels["x"] != "y" || ns.Revision != 10 || ns.Position != 10 {
		t.Errorf("namespace: %+v, %v", ns, ok)
	}
	if ns.CreatedAt.Position != 1 || ns.CreatedAt.Actor != "ann" {
		t.Errorf("created at: %+v", ns.CreatedAt)
	}
	if own, ok := ns.Key("k"); !ok || own.Definition == nil || own.Value != "" || own.SetRevision != 0 || own.SetPosition != 0 {
		t.Errorf("k: %+v, %v", own, ok)
	}
	if ns.Len() != 1 || tree.Len() != 1 || tree.Position() != 10 {
		t.Errorf("%d keys in the namespace, %d in the tree, want 1: what is gone must not stay; position %d", ns.Len(), tree.Len(), tree.Position())
	}
}

func TestIteratorsStop(t *testing.T) {
	var h history
	h.add("a", created(), define("k", events.Definition{Kind: events.Int, Default: "1"}), define("l", events.Definition{Kind: events.Int, Default: "1"}))
	h.add("a.b", created())
	h.add("a.c", created())
	tree := h.tree()
	for range tree.Namespaces() {
		break
	}
	for range tree.Below("a") {
		break
	}
	for range tree.Chain("a.b") {
		break
	}
	for range tree.Keys("a.b") {
		break
	}
	for range tree.Entries("a.b") {
		break
	}
	for range tree.Definitions("a.b") {
		break
	}
}

func ExampleTree() {
	tree := config.Tree{}
	for i, ev := range []events.Recorded{
		{Namespace: "payments", Revision: 1, Event: events.NamespaceCreated{}},
		{Namespace: "payments", Revision: 2, Event: events.KeyDefined{Key: "db.max_conns", Definition: events.Definition{Kind: events.Int, Default: "20"}}},
		{Namespace: "payments.prod", Revision: 1, Event: events.NamespaceCreated{}},
		{Namespace: "payments.prod", Revision: 2, Event: events.ValueSet{Key: "db.max_conns", Value: "512"}},
	} {
		ev.Position = events.Position(i + 1)
		tree = tree.Evolve(ev)
	}
	for ns := range tree.Namespaces() {
		e, _ := tree.Effective(ns.Name, "db.max_conns")
		fmt.Println(ns.Name, e.Value, e.From)
	}
	// Output:
	// payments 20 default
	// payments.prod 512 payments.prod
}

// A definition below does not bring to light what is sensitive above.
func TestSensitiveIsInherited(t *testing.T) {
	var h history
	h.add("pay", created(), define("token", events.Definition{Kind: events.String, Sensitive: true}), set("token", `"s3cret"`))
	h.add("pay.prod", created(), define("token", events.Definition{Kind: events.String, Default: `"none"`}))
	h.add("pay.prod.eu", created(), set("token", `"own"`))
	tree := h.tree()
	for _, ns := range []events.Namespace{"pay", "pay.prod", "pay.prod.eu"} {
		if e, ok := tree.Effective(ns, "token"); !ok || !e.Sensitive {
			t.Errorf("%s: got %+v", ns, e)
		}
	}
	h.add("pay", define("token", events.Definition{Kind: events.String}))
	if e, _ := h.tree().Effective("pay.prod.eu", "token"); e.Sensitive {
		t.Errorf("after the last that said so: got %+v", e)
	}
}
