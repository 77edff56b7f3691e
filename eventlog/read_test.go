package eventlog_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
)

func TestRead(t *testing.T) {
	log := testenv.Log(t)
	mustAppend(t, log, "a", created, set("k", 1), events.KeyDefined{Key: "k", Definition: events.Definition{Kind: events.Int}})
	mustAppend(t, log, "b", created, set("k", 1))
	mustAppend(t, log, "a", set("k", 2), set("l", 1), events.KeyRemoved{Key: "k"}, set("k", 3))
	for _, tt := range []struct {
		name  string
		query eventlog.Query
		want  []events.Position
	}{
		{"all", eventlog.Query{}, []events.Position{1, 2, 3, 4, 5, 6, 7, 8, 9}},
		{"after, until", eventlog.Query{After: 3, Until: 5}, []events.Position{4, 5}},
		{"limit", eventlog.Query{After: 3, Limit: 3}, []events.Position{4, 5, 6}},
		{"namespace", eventlog.Query{Namespace: "a", After: 1, Limit: 4}, []events.Position{2, 3, 6, 7}},
		{"key", eventlog.Query{Namespace: "a", Key: "k"}, []events.Position{2, 3, 6, 8, 9}},
		{"key, limit", eventlog.Query{Namespace: "a", Key: "k", After: 2, Until: 8, Limit: 2}, []events.Position{3, 6}},
		{"nothing", eventlog.Query{Namespace: "c"}, nil},
	} {
		evs, err := log.Read(t.Context(), tt.query)
		if err != nil {
			t.Fatal(err)
		}
		var got []events.Position
		for _, ev := range evs {
			got = append(got, ev.Position)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
	if _, err := log.Read(t.Context(), eventlog.Query{Key: "k"}); err == nil {
		t.Error("a key without its namespace was accepted")
	}
}

func TestOpenRefuses(t *testing.T) {
	owner, app := testenv.Database(t)
	execute(t, owner, `INSERT INTO schema_version (version_id, is_applied) VALUES (1000, true)`)
	for _, tt := range []struct {
		name, url, want string
	}{
		{"no schema", testenv.EmptyDatabase(t), "run the migrations"},
		{"a newer schema", app, "upgrade the program"},
		{"no URL", "postgres://ann:secret@host:port:1/db", "neither a postgres:// URL"},
		{"nobody there", "postgres://ann:secret@127.0.0.1:1/db", eventlog.ErrUnavailable.Error()},
	} {
		log, err := eventlog.Open(t.Context(), eventlog.Config{URL: tt.url, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
		if err == nil {
			log.Close()
			t.Errorf("%s: was opened", tt.name)
			continue
		}
		if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %q, want %q and no password", tt.name, err, tt.want)
		}
	}
}

func TestClosedLogIsUnavailable(t *testing.T) {
	_, app := testenv.Database(t)
	log := open(t, eventlog.Config{URL: app})
	if err := log.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	log.Close()
	if err := log.Ping(t.Context()); !errors.Is(err, eventlog.ErrUnavailable) {
		t.Errorf("got %v, want %v", err, eventlog.ErrUnavailable)
	}
}

// Many may await a position at once: each returns when it is there and not before, or with its own
// context's error.
func TestAwaitTogether(t *testing.T) {
	log := testenv.Log(t)
	mustAppend(t, log, "a", created)
	const many = 500
	done := make(chan error, many)
	for range many {
		go func() { done <- log.Await(t.Context(), 2) }()
	}
	short, cancel := context.WithCancel(t.Context())
	cancel()
	if err := log.Await(short, 2); err != context.Canceled {
		t.Errorf("got %v, want the context's error", err)
	}
	select {
	case err := <-done:
		t.Fatalf("returned %v before the position was reached", err)
	default:
	}
	mustAppend(t, log, "a", set("k", 1))
	for range many {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

// Large values end a page early; all come all the same.
func TestPagesAreBoundedByBytes(t *testing.T) {
	log := testenv.Log(t)
	mustAppend(t, log, "a", created)
	text := `"` + strings.Repeat("x", 200<<10) + `"`
	const sets = 100
	for range sets {
		mustAppend(t, log, "a", events.ValueSet{Key: "k", Value: events.Value(text)}, set("other", 1))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var pages []int
	next := events.Position(1)
	err := log.Tail(ctx, 0, func(evs []events.Recorded, head eventlog.Head) error {
		pages = append(pages, len(evs))
		for _, ev := range evs {
			if ev.Position != next {
				t.Fatalf("event %d comes where %d should", ev.Position, next)
			}
			next++
		}
		if next > head.Position {
			cancel()
		}
		return nil
	})
	if err != context.Canceled {
		t.Error(err)
	}
	if len(pages) < 3 || pages[0] > 100 {
		t.Errorf("got pages of %v events, want each to end at about 8 MiB", pages)
	}
}
