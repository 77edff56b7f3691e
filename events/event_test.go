package events_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-config/holdfast/events"
)

func TestChangeSets(t *testing.T) {
	rec := func(pos events.Position, ns events.Namespace, rev events.Revision) events.Recorded {
		return events.Recorded{Position: pos, Namespace: ns, Revision: rev, Event: events.NamespaceCreated{}}
	}
	evs := []events.Recorded{rec(1, "a", 1), rec(2, "a", 1), rec(3, "a", 2), rec(4, "b", 2), rec(5, "a", 3)}
	var got [][]events.Position
	for cs := range events.ChangeSets(evs) {
		if len(cs) != cap(cs) {
			t.Error("an append to one change set would overwrite the next")
		}
		var positions []events.Position
		for _, ev := range cs {
			positions = append(positions, ev.Position)
		}
		got = append(got, positions)
	}
	if diff := cmp.Diff([][]events.Position{{1, 2}, {3}, {4}, {5}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for range events.ChangeSets(nil) {
		t.Error("no events have a change set")
	}
}

func ExampleEncode() {
	s, err := events.Encode(events.ValueSet{Key: "db.max_conns", Value: "512"})
	fmt.Println(s.Type, s.Key, string(s.Data), err)
	// Output: value.set.v1 db.max_conns {"value":512} <nil>
}

func ExampleParseValue() {
	v, err := events.ParseValue([]byte(`{ "b": 1.50, "a": [ true ] }`))
	fmt.Println(v, err)
	// Output: {"a":[true],"b":1.5} <nil>
}
