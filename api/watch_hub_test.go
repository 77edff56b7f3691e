package api

import (
	"testing"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

// TestSettle: what is passed on between a seat's place in the tail and its tree is either in its queue or in its tree,
// whichever of two seats settles first.
func TestSettle(t *testing.T) {
	recorded := func(position events.Position, ev events.Event) []events.Recorded {
		return []events.Recorded{{Position: position, Namespace: "shop", Revision: events.Revision(position), Event: ev}}
	}
	history := [][]events.Recorded{
		recorded(1, events.NamespaceCreated{Open: true}), recorded(2, events.ValueSet{Key: "k", Value: "1"}),
		recorded(3, events.ValueSet{Key: "k", Value: "2"}), recorded(4, events.ValueSet{Key: "k", Value: "3"}),
	}
	treeAt := func(n int) config.Tree {
		fold := config.NewFold(config.Tree{})
		for _, cs := range history[:n] {
			fold.Apply(cs[0])
		}
		return fold.Tree()
	}
	for name, loaded := range map[string][2]int{"older first": {1, 3}, "newer first": {3, 1}} {
		h := newHub(nil, nil)
		in := &tailing{epoch: "e", position: 1, roots: map[events.Namespace]*watchedRoot{}}
		var seats [2]*seat
		for i := range seats {
			seats[i] = &seat{hub: h, in: in, ns: "shop", queue: newQueue()}
			if err := seats[i].add(); err != nil {
				t.Fatal(err)
			}
		}
		for _, cs := range history[1:] {
			if err := in.passSet(cs); err != nil {
				t.Fatal(err)
			}
		}
		for i, s := range seats {
			s.tree = treeAt(loaded[i])
			if err := s.settle(); err != nil {
				t.Fatal(err)
			}
		}
		for i, s := range seats {
			at := s.upto
			messages, err := s.queue.take()
			for _, m := range messages {
				if m.position > at {
					at++
				}
			}
			if err != nil || at != 4 {
				t.Errorf("%s: seat %d has all up to %d of 4 (%v)", name, i, at, err)
			}
		}
	}
}
