package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

// TestChangesIn: of each view it says what Changes says.
func TestChangesIn(t *testing.T) {
	names := []events.Namespace{"a", "a.b", "a.b.c", "a.x", "a.gap.y"}
	set := func(key events.Key) events.Event { return events.ValueSet{Key: key, Value: "1"} }
	var tree config.Tree
	revisions := map[events.Namespace]events.Revision{}
	position := events.Position(0)
	for i, step := range []struct {
		ns  events.Namespace
		evs []events.Event
	}{
		{"a.b.c", []events.Event{events.NamespaceCreated{}}},
		{"a", []events.Event{events.NamespaceCreated{}, set("k"), set("l")}},
		{"a.gap.y", []events.Event{events.NamespaceCreated{}}},
		{"a.b", []events.Event{events.NamespaceCreated{}}}, // a.b.c begins to inherit
		{"a.x", []events.Event{events.NamespaceCreated{}, set("k")}},
		{"a", []events.Event{set("k")}}, // hidden in a.x
		{"a.b", []events.Event{set("k")}},
		{"a", []events.Event{events.ValueUnset{Key: "l"}}},
	} {
		revisions[step.ns]++
		var cs []events.Recorded
		fold := config.NewFold(tree)
		for _, ev := range step.evs {
			position++
			cs = append(cs, events.Recorded{Position: position, Namespace: step.ns, Revision: revisions[step.ns], Event: ev})
			fold.Apply(cs[len(cs)-1])
		}
		after := fold.Tree()
		want := map[events.Namespace]config.ViewChange{}
		for _, vc := range config.Changes(tree, after, cs) {
			want[vc.Namespace] = vc
		}
		got := map[events.Namespace]config.ViewChange{}
		for _, ns := range names {
			if vc, ok := config.ChangesIn(tree, after, cs, ns); ok {
				got[ns] = vc
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("step %d: %s", i, diff)
		}
		tree = after
	}
}
