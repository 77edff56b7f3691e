package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
)

// Whatever the history: a tree that is loaded, as of any position, equals the fold of all events up to there.
func TestLoadEqualsFold(t *testing.T) {
	log := testenv.Log(t)
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		root := events.Namespace(fmt.Sprintf("r%d", run))
		// The last two are other roots, though close by.
		spaces := []events.Namespace{root, root + ".a", root + ".a.b", root + "-x", root + "x"}
		keys := rapid.SampledFrom([]events.Key{"k", "k.a", "k-b", "K"})
		event := rapid.OneOf(
			rapid.Map(keys, func(k events.Key) events.Event { return set(k, len(k)) }),
			rapid.Map(keys, func(k events.Key) events.Event { return events.ValueUnset{Key: k} }),
			rapid.Map(keys, func(k events.Key) events.Event { return events.KeyRemoved{Key: k} }),
			rapid.Map(keys, func(k events.Key) events.Event {
				return events.KeyDefined{Key: k, Definition: events.Definition{Kind: events.Int, Default: "5"}}
			}),
			rapid.Map(keys, func(k events.Key) events.Event { return events.NamespaceTagged{Tag: events.Tag(k), Revision: 1} }),
			rapid.Map(keys, func(k events.Key) events.Event { return events.NamespaceUntagged{Tag: events.Tag(k)} }),
			rapid.Just(events.Event(events.NamespaceRestored{Namespace: root, Revision: 1, Position: 1})),
		)
		var first, last events.Position
		for range rapid.IntRange(1, 15).Draw(t, "change sets") {
			ns := rapid.SampledFrom(spaces).Draw(t, "namespace")
			evs := rapid.SliceOfN(event, 1, 4).Draw(t, "events")
			a, err := log.Append(context.Background(), request(ns), func(tree config.Tree) ([]events.Event, error) {
				if _, ok := tree.Namespace(ns); !ok {
					return append([]events.Event{created}, evs...), nil
				}
				return evs, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if last = a.Position; first == 0 {
				first = last
			}
		}
		all, err := log.Read(context.Background(), eventlog.Query{After: 0, Until: last})
		for err == nil && all[len(all)-1].Position < last {
			var more []events.Recorded
			more, err = log.Read(context.Background(), eventlog.Query{After: all[len(all)-1].Position, Until: last})
			all = append(all, more...)
		}
		if err != nil {
			t.Fatal(err)
		}
		at := events.Position(rapid.Int64Range(int64(first), int64(last)).Draw(t, "at"))
		for _, at := range []events.Position{at, last} {
			fold := config.NewFold(config.Tree{})
			for _, ev := range all[:at] {
				if ev.Namespace.Root() == root {
					fold.Apply(ev)
				}
			}
			loaded, err := log.Load(context.Background(), root+".a", at)
			if err != nil {
				t.Fatal(err)
			}
			if !loaded.Equal(fold.Tree()) {
				t.Fatalf("as of %d: loaded %v, folded %v", at, loaded, fold.Tree())
			}
		}
		loaded, err := log.Load(context.Background(), root, 0)
		present, err2 := log.Present(context.Background(), root)
		if err != nil || err2 != nil || !present.Equal(loaded) {
			t.Fatalf("the present is not what is loaded: %v, %v", err, err2)
		}
	})
}

// Loading costs by the keys: a hundred thousand values of one of them cost nothing, with statistics and without.
func TestLoadCostsByKeys(t *testing.T) {
	owner, app := testenv.Database(t)
	log := open(t, eventlog.Config{URL: app})
	const keys = 1000
	execute(t, owner, `
		INSERT INTO events
		SELECT i, 'a', 1, CASE i WHEN 1 THEN 'namespace.created.v1' ELSE 'key.defined.v1' END,
		    CASE WHEN i > 1 THEN 'k' || i END, '{"definition":{"kind":"int"}}', 'x', '', now()
		FROM generate_series(1, $1::bigint) i`, keys)
	execute(t, owner, `
		INSERT INTO events
		SELECT $1 + i, 'a', 1 + i, 'value.set.v1', 'k' || i, '{"value":1}', 'x', '', now()
		FROM generate_series(1, $1::bigint) i`, keys)
	explain := func(when string) map[string]int {
		blocks := map[string]int{}
		for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
			n, plan, err := log.ExplainLoad(t.Context(), "a", mode)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(plan, `"Seq Scan"`) {
				t.Errorf("%s, %s: the table is read whole", when, mode)
			}
			blocks[mode] = n
		}
		return blocks
	}
	before := explain("little history")
	execute(t, owner, `
		INSERT INTO events
		SELECT 2 * $1 + i, 'a', $1 + 1 + i, 'value.set.v1', 'k500', '{"value":1}', 'x', '', now()
		FROM generate_series(1, 100000) i`, keys)
	check := func(when string) {
		for mode, blocks := range explain(when) {
			t.Logf("%s, %s: %d blocks for %d keys", when, mode, blocks, keys)
			if limit := before[mode] * 3 / 2; blocks > limit {
				t.Errorf("%s, %s: %d blocks, with little history %d", when, mode, blocks, before[mode])
			}
		}
	}
	check("long history")
	execute(t, owner, `ANALYZE events`)
	check("long history with statistics")
}

// A load may take longer than other reads: a large tree would else be out of reach for ever.
func TestLoadIsPatient(t *testing.T) {
	owner, app := testenv.Database(t)
	log := open(t, eventlog.Config{URL: app, Timeout: time.Second})
	mustAppend(t, log, "a", created, set("k", 1))
	conn, err := pgx.Connect(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `LOCK TABLE events`); err != nil { // what reads it waits, as if it had much to do
		t.Fatal(err)
	}
	loaded := make(chan error, 1)
	go func() {
		tree, err := log.Load(context.Background(), "a", 0)
		if err == nil && tree.Len() != 1 {
			err = fmt.Errorf("got %d keys", tree.Len())
		}
		loaded <- err
	}()
	for range 2 { // each gives up within a second; the load outlasts both
		if _, err := log.Read(t.Context(), eventlog.Query{}); !errors.Is(err, eventlog.ErrUnavailable) {
			t.Errorf("read: got %v", err)
		}
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-loaded; err != nil {
		t.Errorf("load: %v", err)
	}
}

func TestLoadStopsAtUnknownType(t *testing.T) {
	owner, app := testenv.Database(t)
	log := open(t, eventlog.Config{URL: app})
	mustAppend(t, log, "a", created)
	mustAppend(t, log, "b", created)
	execute(t, owner, `INSERT INTO events SELECT 3, 'a.b', 1, 'key.renamed.v1', 'k', '{}', 'x', '', now()`)
	execute(t, owner, `UPDATE head SET position = 3`)
	unknown := func(what string, err error) {
		t.Helper()
		if _, ok := errors.AsType[*events.UnknownTypeError](err); !ok || errors.Is(err, eventlog.ErrUnavailable) {
			t.Errorf("%s: got %v, want an unknown type", what, err)
		}
	}
	_, err := log.Load(t.Context(), "a", 0)
	unknown("load", err)
	if _, err := log.Load(t.Context(), "a", 2); err != nil {
		t.Errorf("load of what was before: %v", err)
	}
	_, err = log.Append(t.Context(), request("a"), these(set("k", 1)))
	unknown("append", err)
	_, err = log.Present(t.Context(), "a")
	unknown("present", err)
	_, err = log.Read(t.Context(), eventlog.Query{})
	unknown("read", err)
}

func TestNamespaces(t *testing.T) {
	log := testenv.Log(t)
	for _, ns := range []events.Namespace{"b", "a.b", "a", "a-b", "a.b.c"} {
		mustAppend(t, log, ns, created)
	}
	for _, tt := range []struct {
		after events.Namespace
		limit int
		want  []events.Namespace
	}{
		{"", 10, []events.Namespace{"a", "a-b", "a.b", "a.b.c", "b"}},
		{"a-b", 2, []events.Namespace{"a.b", "a.b.c"}},
		{"b", 10, []events.Namespace{}},
	} {
		got, err := log.Namespaces(t.Context(), tt.after, tt.limit)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("after %q: %s", tt.after, diff)
		}
	}
}
