package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
)

func defined(key events.Key, sensitive bool) events.Event {
	return events.KeyDefined{Key: key, Definition: events.Definition{Kind: events.Int, Sensitive: sensitive}}
}

func TestHistory(t *testing.T) {
	log := testenv.Log(t)
	mustAppend(t, log, "a", created, defined("k", true), set("k", 1))                                                       // 1 to 3
	mustAppend(t, log, "a", set("k", 2), events.KeyRemoved{Key: "k"}, set("k", 3))                                          // 4 to 6
	mustAppend(t, log, "a.b", created, set("k", 7))                                                                         // 7, 8
	restored := events.NamespaceRestored{Namespace: "a", Revision: 1, Position: 3}                                          //
	mustAppend(t, log, "a", restored, defined("k", false), events.ValueUnset{Key: "k"}, events.NamespaceTagged{Tag: "now"}) // 9 to 12
	type was struct {
		Position   events.Position
		Value      events.Value
		Definition bool // there was an own one
		Restored   bool
	}
	all := []was{
		{1, "", false, false}, {2, "", false, false}, {3, "", true, false},
		{4, "1", true, false}, {5, "2", true, false}, {6, "", false, false},
		{7, "", false, false}, {8, "", false, false},
		{9, "", false, true}, {10, "3", false, true}, {11, "3", true, true}, {12, "", false, true},
	}
	for _, tt := range []struct {
		query eventlog.Query
		want  []was
	}{
		{eventlog.Query{}, all},
		{eventlog.Query{Namespace: "a", Key: "k", After: 8}, all[9:11]},
		{eventlog.Query{Newest: true, Limit: 2}, []was{all[11], all[10]}},
		{eventlog.Query{After: 12}, nil},
	} {
		changes, err := log.History(t.Context(), tt.query)
		if err != nil {
			t.Fatal(err)
		}
		var got []was
		for _, c := range changes {
			if c.Restored != nil && *c.Restored != restored {
				t.Errorf("%d: restored %v", c.Position, c.Restored)
			}
			got = append(got, was{c.Position, c.Value, c.Definition != nil, c.Restored != nil})
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%+v: %s", tt.query, diff)
		}
	}
	sensitive, err := log.Sensitive(t.Context(), []events.Namespace{"a", "a.b"}, []events.Key{"k", "l"})
	want := map[events.Namespace]map[events.Key]bool{"a": {"k": true}} // once is for ever
	if diff := cmp.Diff(want, sensitive); diff != "" || err != nil {
		t.Errorf("sensitive: %v, %s", err, diff)
	}
}

// Whatever is asked for, in either order and page by page, is what a filter over all events gives.
func TestReadFilters(t *testing.T) {
	log := testenv.Log(t)
	actors := []string{"ann", "bob"}
	spaces := []events.Namespace{"f", "f.a", "f.a.b", "f-a"}
	for i, ns := range []events.Namespace{"f", "f.a", "f.a.b", "f-a", "f.a", "f.a.b", "f", "f.a"} {
		evs := []events.Event{set("k", i), set("l", i), events.ValueUnset{Key: "k"}, defined("k", false), events.KeyRemoved{Key: "l"}}
		if i < 4 {
			evs = append([]events.Event{created}, evs...)
		}
		req := request(ns)
		req.Actor = actors[i%2]
		if _, err := log.Append(t.Context(), req, these(evs...)); err != nil {
			t.Fatal(err)
		}
	}
	all := readAll(t, log)
	rapid.Check(t, func(t *rapid.T) {
		q := eventlog.Query{
			Namespace: rapid.SampledFrom(append(spaces, "")).Draw(t, "namespace"),
			Above:     rapid.Bool().Draw(t, "above"),
			Actor:     rapid.SampledFrom([]string{"", "ann", "bob", "eve"}).Draw(t, "actor"),
			Types:     rapid.SampledFrom([][]string{nil, {events.TypeValueSet}, {events.TypeKeyRemoved, events.TypeNamespaceCreated}}).Draw(t, "types"),
			After:     events.Position(rapid.IntRange(0, len(all)).Draw(t, "after")),
			Until:     events.Position(rapid.IntRange(0, len(all)).Draw(t, "until")),
			Newest:    rapid.Bool().Draw(t, "newest"),
			Limit:     rapid.IntRange(1, 50).Draw(t, "limit"),
		}
		if q.Namespace != "" {
			q.Key = rapid.SampledFrom([]events.Key{"", "k", "l"}).Draw(t, "key")
		}
		var want []events.Position
		for _, ev := range all {
			inSpace := q.Namespace == "" || ev.Namespace == q.Namespace || q.Above && ev.Namespace.Above(q.Namespace)
			if inSpace && (q.Key == "" || events.KeyOf(ev.Event) == q.Key) && (q.Actor == "" || ev.Actor == q.Actor) &&
				(q.Types == nil || slices.Contains(q.Types, ev.Event.Type())) && ev.Position > q.After && (q.Until == 0 || ev.Position <= q.Until) {
				want = append(want, ev.Position)
			}
		}
		if q.Newest {
			slices.Reverse(want)
		}
		evs, err := log.Read(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		var got []events.Position
		for _, ev := range evs {
			got = append(got, ev.Position)
		}
		if diff := cmp.Diff(want[:min(q.Limit, len(want))], got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%+v: %s", q, diff)
		}
	})
}

// A point resolves to the position up to which a walk over all events goes.
func TestResolve(t *testing.T) {
	log := testenv.Log(t)
	ctx := context.Background()
	mustAppend(t, log, "first", created)
	for i := range 40 {
		ns := []events.Namespace{"p", "p.q", "other"}[i*7%3]
		evs := slices.Repeat([]events.Event{set("k", i)}, 1+i%4)
		if i < 3 {
			evs = append([]events.Event{created}, evs...)
		}
		mustAppend(t, log, ns, evs...)
	}
	mustAppend(t, log, "p.q", events.NamespaceTagged{Tag: "third", Revision: 3}, events.NamespaceTagged{Tag: "own"})
	mustAppend(t, log, "p.q", set("k", 100), events.NamespaceTagged{Tag: "gone"}, events.NamespaceUntagged{Tag: "gone"})
	mustAppend(t, log, "other", set("k", 100))
	all := readAll(t, log)
	var revisions events.Revision
	ends := map[events.Revision]events.Position{}
	var since events.Recorded
	for _, ev := range all {
		if ev.Namespace == "p.q" {
			if since.Position == 0 {
				since = ev
			}
			revisions, ends[ev.Revision] = ev.Revision, ev.Position
		}
	}
	resolves := func(p events.Point, want events.Position) {
		t.Helper()
		if got, err := log.Resolve(ctx, "p.q", p); got != want || err != nil {
			t.Errorf("%s: got %d, %v; want %d", p, got, err, want)
		}
	}
	for revision, end := range ends {
		resolves(events.Point{Revision: revision}, end)
	}
	resolves(events.Point{Tag: "third"}, ends[3])
	resolves(events.Point{Tag: "own"}, ends[revisions-1])
	for _, ev := range all {
		if ev.Position >= since.Position {
			if whole := wholeAt(all, ev.Position); whole > since.Position {
				resolves(events.Point{Position: ev.Position}, whole)
			}
			last := slices.IndexFunc(all, func(next events.Recorded) bool { return next.Time.After(ev.Time) })
			if last < 0 {
				last = len(all)
			}
			resolves(events.Point{Time: ev.Time}, events.Position(last))
			resolves(events.Point{Time: ev.Time.Add(300 * time.Nanosecond)}, events.Position(last))
		}
	}
	exists := fmt.Sprintf("the namespace exists since %s, position %d", since.Time.Format(time.RFC3339Nano), since.Position)
	for _, tt := range []struct {
		ns   events.Namespace
		p    events.Point
		want string
	}{
		{"p.q", events.Point{Revision: revisions + 1}, fmt.Sprintf("p.q at %d: the namespace is at revision %d", revisions+1, revisions)},
		{"p.q", events.Point{Position: events.Position(len(all) + 1)}, fmt.Sprintf("p.q at @%d: the log ends at %d", len(all)+1, len(all))},
		{"p.q", events.Point{Position: since.Position - 1}, fmt.Sprintf("p.q at @%d: %s", since.Position-1, exists)},
		{"p.q", events.Point{Time: since.Time.Add(-time.Hour)}, fmt.Sprintf("p.q at %s: %s", since.Time.Add(-time.Hour).Format(time.RFC3339Nano), exists)},
		{"p.q", events.Point{Tag: "gone"}, "p.q at gone: there is no such tag"},
		{"p.x", events.Point{Revision: 1}, "p.x at 1: the namespace does not exist"},
	} {
		if _, err := log.Resolve(ctx, tt.ns, tt.p); !errors.Is(err, events.ErrUnknownPoint) || err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
	var unknown *events.PointError
	if _, err := log.Resolve(ctx, "p.q", events.Point{Time: time.Now().Add(time.Hour)}); !errors.As(err, &unknown) {
		t.Errorf("in the future: got %v", err)
	}
	if pos, err := log.PositionAt(ctx, all[0].Time.Add(-time.Hour)); pos != 0 || err != nil {
		t.Errorf("before all: %d, %v", pos, err)
	}
	if pos, err := log.PositionAt(ctx, time.Now().Add(time.Hour)); pos != events.Position(len(all)) || err != nil {
		t.Errorf("after all: %d, %v", pos, err)
	}
}

// wholeAt is where the last change set ends that all has whole up to pos.
func wholeAt(all []events.Recorded, pos events.Position) (end events.Position) {
	for cs := range events.ChangeSets(all) {
		if last := cs[len(cs)-1].Position; last <= pos {
			end = last
		}
	}
	return end
}

// As of a point: what is loaded equals the fold of the first events.
func TestAsOfIsFoldOfTheFirst(t *testing.T) {
	log := testenv.Log(t)
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		root := events.Namespace(fmt.Sprintf("asof%d", run))
		spaces := []events.Namespace{root, root + ".a"}
		keys := rapid.SampledFrom([]events.Key{"k", "l"})
		for i := range rapid.IntRange(1, 8).Draw(t, "change sets") {
			ns, key := rapid.SampledFrom(spaces).Draw(t, "namespace"), keys.Draw(t, "key")
			ev := rapid.SampledFrom([]events.Event{set(key, i), events.ValueUnset{Key: key}, defined(key, false), events.KeyRemoved{Key: key}, events.NamespaceTagged{Tag: "t"}}).Draw(t, "event")
			_, err := log.Append(context.Background(), request(ns), func(tree config.Tree) ([]events.Event, error) {
				if _, ok := tree.Namespace(ns); !ok {
					return []events.Event{created, ev}, nil
				}
				return []events.Event{ev}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		var first []events.Recorded
		for _, ns := range spaces {
			evs, err := log.Read(context.Background(), eventlog.Query{Namespace: ns})
			if err != nil {
				t.Fatal(err)
			}
			first = append(first, evs...)
		}
		slices.SortFunc(first, func(a, b events.Recorded) int { return int(a.Position - b.Position) })
		f := config.NewFold(config.Tree{})
		for cs := range events.ChangeSets(first) {
			for _, ev := range cs {
				f.Apply(ev)
			}
			ns := cs[0].Namespace
			pos, err := log.Resolve(context.Background(), ns, events.Point{Revision: cs[0].Revision})
			if err != nil {
				t.Fatal(err)
			}
			asOf, err := log.Load(context.Background(), ns, pos)
			if err != nil || !asOf.Equal(f.Tree()) {
				t.Fatalf("as of revision %d of %s: %v, or not the fold of the first", cs[0].Revision, ns, err)
			}
		}
	})
}

// History costs by what it answers: an actor who wrote little, and a key that changed seldom, are found in a long log.
func TestHistoryCostsByWhatItAnswers(t *testing.T) {
	owner, app := testenv.Database(t)
	log := open(t, eventlog.Config{URL: app})
	execute(t, owner, `
		INSERT INTO events
		SELECT i, 'a', i, CASE i WHEN 1 THEN 'namespace.created.v1' ELSE 'value.set.v1' END,
		    CASE WHEN i > 1 THEN CASE WHEN i % 20000 = 2 THEN 'seldom' ELSE 'often' END END, '{"value":1}',
		    CASE WHEN i % 20000 = 3 THEN 'ann' ELSE 'bot' END, '', now()
		FROM generate_series(1, 100000) i`)
	execute(t, owner, `SELECT brin_summarize_new_values('events_actor')`) // as autovacuum does
	const mode = "force_custom_plan"                                      // as each is planned
	if blocks, plan, err := log.ExplainReadOfKey(t.Context(), "a", "seldom", mode); err != nil || blocks > 100 {
		t.Errorf("%d blocks for a key without statistics, %v\n%s", blocks, err, plan)
	}
	execute(t, owner, `ANALYZE events`)
	ofActor, plan, err := log.ExplainReadOfActor(t.Context(), "ann", mode)
	ofKey, _, err2 := log.ExplainReadOfKey(t.Context(), "a", "seldom", mode)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	if ofActor > 100 || ofKey > 100 {
		t.Errorf("%d blocks for an actor, %d for a key\n%s", ofActor, ofKey, plan)
	}
}
