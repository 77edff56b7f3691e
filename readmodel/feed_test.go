package readmodel

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// history is what a log says about one view: its change sets, and the values after each.
type history struct {
	epoch string
	sets  []view.ChangeSet
	after []map[events.Key]Entry
}

func drawHistory(t *rapid.T, epoch string) history {
	h := history{epoch: epoch}
	values, pos := map[events.Key]Entry{}, events.Position(0)
	for i := range rapid.IntRange(1, 12).Draw(t, "change sets") {
		prev := pos
		pos += events.Position(rapid.IntRange(1, 3).Draw(t, "events"))
		cs := view.ChangeSet{Epoch: epoch, Namespace: "n", Position: pos, Prev: prev, Revision: events.Revision(i + 1)}
		values = maps.Clone(values)
		for _, key := range rapid.SliceOfDistinct(rapid.SampledFrom([]events.Key{"a", "b", "c", "d"}), rapid.ID[events.Key]).Draw(t, "keys") {
			if rapid.Bool().Draw(t, "unset") {
				delete(values, key)
				cs.Changes = append(cs.Changes, view.Change{Key: key})
				continue
			}
			e := Entry{Value: events.Value(fmt.Sprint(pos)), Position: pos}
			values[key] = e
			cs.Changes = append(cs.Changes, view.Change{Key: key, Entry: &e})
		}
		h.sets, h.after = append(h.sets, cs), append(h.after, values)
	}
	return h
}

// fed returns a feed and a reader that it feeds.
func fed(ns events.Namespace) (*feed, *Reader) {
	f, r := newFeed(ns, silent{}), quietReader(ns)
	f.join(r)
	return &f, r
}

func (h history) head(i int) view.Head {
	return view.Head{Epoch: h.epoch, Position: h.sets[i].Position, Revision: h.sets[i].Revision}
}

// Whatever a source delivers, in whatever order and how often, the readers that share it show what the log says at its
// position, also those that join later, none goes back within a history, and listeners are told each step from one state
// to the next.
func TestReadersShowTheLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		histories := []history{drawHistory(t, "one"), drawHistory(t, "two")}
		f, r := fed("n")
		defer r.cancel()
		sharing := []*told{{r: r, values: map[events.Key]Entry{}, l: r.silently()}}
		for range rapid.IntRange(1, 40).Draw(t, "deliveries") {
			before := r.Snapshot()
			if rapid.IntRange(0, 9).Draw(t, "join") == 0 {
				r := quietReader("n")
				defer r.cancel()
				sharing = append(sharing, &told{r: r, values: map[events.Key]Entry{}, l: r.silently()})
				f.join(r)
			}
			h := histories[rapid.SampledFrom([]int{0, 0, 0, 0, 1}).Draw(t, "history")]
			i := rapid.IntRange(0, len(h.sets)-1).Draw(t, "at")
			if before != nil && rapid.Bool().Draw(t, "next") { // what a stream brings as a rule
				for i = 0; i < len(h.sets)-1 && h.sets[i].Prev < before.position; i++ {
				}
			}
			taken := false
			if before == nil || rapid.IntRange(0, 4).Draw(t, "load") == 0 {
				taken = f.load(h.head(i), h.after[i])
			} else {
				taken = f.apply(h.sets[i])
			}
			wantStep(t, histories, before, r.Snapshot(), taken)
			for _, other := range sharing {
				other.wantEqual(t, r.Snapshot())
			}
		}
	})
}

// told is a reader, and what its listener knows of the values.
type told struct {
	r      *Reader
	l      *listener
	values map[events.Key]Entry
}

// silently adds a listener that waits to be asked.
func (r *Reader) silently() *listener {
	l := &listener{wake: make(chan struct{}, 1)}
	r.add(l)
	return l
}

func (o *told) wantEqual(t *rapid.T, want *Snapshot) {
	for s, ok := o.l.take(); ok; s, ok = o.l.take() {
		tell(t, o.values, s.changed())
	}
	got := o.r.Snapshot()
	if got.content != want.content || got.reader != o.r {
		t.Fatalf("a reader that shares shows %+v, want %+v", got.content, want.content)
	}
	if diff := cmp.Diff(maps.Collect(got.All()), o.values); diff != "" {
		t.Fatalf("shown and told differ:\n%s", diff)
	}
}

func wantStep(t *rapid.T, histories []history, before, after *Snapshot, taken bool) {
	if after == nil {
		t.Fatal("the first load was refused")
	}
	if before != nil && before.epoch == after.epoch && after.position < before.position {
		t.Fatalf("went back from %d to %d", before.position, after.position)
	}
	if !taken && after != before {
		t.Fatal("refused, and shown")
	}
	for _, h := range histories {
		for i := range h.sets {
			if h.head(i) == (view.Head{Epoch: after.epoch, Position: after.position, Revision: after.revision}) {
				if diff := cmp.Diff(h.after[i], maps.Collect(after.All())); diff != "" {
					t.Fatalf("at %d of %s (-want +got):\n%s", after.position, after.epoch, diff)
				}
				return
			}
		}
	}
	t.Fatalf("no history is ever at %d of %s", after.position, after.epoch)
}

func tell(t *rapid.T, told map[events.Key]Entry, c Changed) {
	for _, ch := range c.Changes {
		old, ok := told[ch.Key]
		if ok != (ch.Old != nil) || ok && old != *ch.Old {
			t.Fatalf("%s was %+v, told %+v", ch.Key, old, ch.Old)
		}
		delete(told, ch.Key)
		if ch.New != nil {
			told[ch.Key] = *ch.New
		}
	}
}

func TestRebuiltEntryElsewhereNeedsALoad(t *testing.T) {
	f, r := fed("n")
	defer r.cancel()
	f.load(view.Head{Epoch: "e", Position: 5}, nil)
	for _, c := range []struct {
		cs   view.ChangeSet
		want bool
	}{
		{view.ChangeSet{Epoch: "e", Namespace: "n", Position: 5, Rebuilt: true}, true},
		{view.ChangeSet{Epoch: "e", Namespace: "n", Position: 6, Prev: 5, Rebuilt: true}, false},
		{view.ChangeSet{Epoch: "other", Namespace: "n", Position: 6, Prev: 5}, false},
		{view.ChangeSet{Epoch: "e", Namespace: "m", Position: 6, Prev: 5}, false},
		{view.ChangeSet{Epoch: "e", Namespace: "n", Position: 7, Prev: 6}, false},
		{view.ChangeSet{Epoch: "e", Namespace: "n", Position: 6, Prev: 5}, true},
	} {
		if got := f.apply(c.cs); got != c.want {
			t.Errorf("%+v: got %t", c.cs, got)
		}
	}
}

// A source that never says anything again is noticed without its help.
func TestSilentSourceIsStale(t *testing.T) {
	f, r := fed("n")
	defer r.cancel()
	f.load(view.Head{Epoch: "e", Position: 5}, nil)
	f.confirm(silent{}, Live, 5, 6, time.Now())
	if st := r.Status(); st.State != Live || st.Head != 6 {
		t.Errorf("got %+v", st)
	}
	r.said.heard = time.Now().Add(-silence - time.Second)
	r.said.contact = r.said.heard
	if st := r.Status(); st.State != Stale || st.Err == nil || st.Age < silence {
		t.Errorf("got %+v", st)
	}
}

type silent struct{ Source }

func (silent) Name() string { return "silent" }

func TestPause(t *testing.T) {
	for tries := range 100 {
		if d := pause(tries); d < minPause/2 || d > maxPause || tries == 0 && d > minPause || tries > 8 && d < maxPause/2 {
			t.Errorf("after %d tries: %s", tries, d)
		}
	}
}

// A key that is declared after all places are taken is right, and takes none.
func TestKeyWithoutAPlace(t *testing.T) {
	f, r := fed("n")
	defer r.cancel()
	key := Int("a", 0, Range(0, 9))
	key.id = maxDeclared
	f.load(view.Head{Epoch: "e", Position: 5}, map[events.Key]Entry{"a": {Value: "3"}})
	if n := key.Get(r); n != 3 {
		t.Errorf("got %d", n)
	}
	f.apply(view.ChangeSet{Epoch: "e", Namespace: "n", Position: 6, Prev: 5, Changes: []view.Change{{Key: "a", Entry: &Entry{Value: "10"}}}})
	if n, meta := key.Lookup(r); n != 0 || meta.Err == nil {
		t.Errorf("got %d, %v", n, meta.Err)
	}
	if len(r.keys.known) != 0 || r.Snapshot().decoded.Load() != emptyTable {
		t.Error("it takes a place")
	}
}
