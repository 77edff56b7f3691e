package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
)

// rowsOf returns the rows after one position up to another.
func rowsOf(t testing.TB, log *eventlog.Log, after, until events.Position) []eventlog.Row {
	t.Helper()
	var all []eventlog.Row
	err := log.Rows(t.Context(), after, until, func(r eventlog.Row) error {
		all = append(all, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Rows are the bytes of the table, whatever they are, and decode to what Read returns.
func TestRows(t *testing.T) {
	owner, app := testenv.Database(t)
	log := open(t, eventlog.Config{URL: app})
	mustAppend(t, log, "a", created, set("k", 1))
	mustAppend(t, log, "b", created, set("k", `"<Grüße>"`))
	evs := readAll(t, log)
	execute(t, owner, `
		INSERT INTO events (position, namespace, revision, type, key, data, actor, reason, at)
		VALUES (5, 'c', 1, 'value.frozen.v9', NULL, '{ "odd" :  1.0 }', '', e'\t', '2026-01-02T03:04:05.678901+02')`)
	execute(t, owner, `UPDATE head SET position = 5`)

	rows := rowsOf(t, log, 0, 0)
	if len(rows) != 5 {
		t.Fatalf("got %d rows, want 5", len(rows))
	}
	for i, ev := range evs {
		got, err := rows[i].Recorded()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(ev, got); diff != "" {
			t.Errorf("row %d (-read +row):\n%s", i+1, diff)
		}
	}
	odd := rows[4]
	if got := fmt.Sprintf("%d %s %d %s %q %s %q %q %d", odd.Position, odd.Namespace, odd.Revision, odd.Type, odd.Key, odd.Data,
		odd.Actor, odd.Reason, odd.Time.UnixMicro()); got != `5 c 1 value.frozen.v9 "" { "odd" :  1.0 } "" "\t" 1767315845678901` {
		t.Errorf("got %s", got)
	}
	var unknown *events.UnknownTypeError
	if _, err := odd.Recorded(); !errors.As(err, &unknown) || !strings.Contains(err.Error(), "event 5") {
		t.Errorf("decoding it: got %v", err)
	}
	if part := rowsOf(t, log, 1, 3); len(part) != 2 || part[0].Position != 2 || part[1].Position != 3 {
		t.Errorf("after 1 until 3: got %+v", part)
	}
}

// Pages end by their bytes and by their number, and none is lost or doubled in between.
func TestRowsPages(t *testing.T) {
	log := testenv.Log(t)
	mustAppend(t, log, "a", created)
	large := `"` + strings.Repeat("x", 200<<10) + `"`
	for range 3 {
		for range 15 {
			mustAppend(t, log, "a", set("k", large))
		}
		for range 3 {
			var evs []events.Event
			for k := range events.MaxChangeSetCommands {
				evs = append(evs, set(events.Key(fmt.Sprint("k", k)), k))
			}
			mustAppend(t, log, "a", evs...)
		}
	}
	head, err := log.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var last events.Position
	err = log.Rows(t.Context(), 0, 0, func(r eventlog.Row) error {
		if r.Position != last+1 {
			t.Errorf("position %d follows %d", r.Position, last)
		}
		last = r.Position
		return nil
	})
	if err != nil || last != head.Position {
		t.Errorf("ended at %d (%v), want %d", last, err, head.Position)
	}
}

func TestRowsEnd(t *testing.T) {
	log := testenv.Log(t)
	mustAppend(t, log, "a", created, set("k", 1), set("k", 2))
	own := errors.New("own")
	if err := log.Rows(t.Context(), 0, 0, func(eventlog.Row) error { return own }); err != own {
		t.Errorf("got %v, want fn's error", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := log.Rows(ctx, 0, 3, func(eventlog.Row) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	if rows := rowsOf(t, log, 3, 0); len(rows) != 0 {
		t.Errorf("after the end: got %v", rows)
	}
}

func BenchmarkRows(b *testing.B) {
	log := testenv.Log(b)
	mustAppend(b, log, "bench", created)
	for range 100 {
		var evs []events.Event
		for k := range events.MaxChangeSetCommands {
			evs = append(evs, set(events.Key(fmt.Sprint("key.", k)), k))
		}
		mustAppend(b, log, "bench", evs...)
	}
	n := 0
	for b.Loop() {
		err := log.Rows(context.Background(), 0, 0, func(eventlog.Row) error { n++; return nil })
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
}
