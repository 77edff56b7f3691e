package eventlog_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(leaderVariable); url != "" {
		leadAlone(url)
		return
	}
	goleak.VerifyTestMain(m)
}

// open opens a log, closed when the test ends.
func open(t testing.TB, cfg eventlog.Config) *eventlog.Log {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	log, err := eventlog.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	return log
}

// execute runs a statement as the role of url.
func execute(t testing.TB, url, sql string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// withParameter returns the URL with a setting for its sessions.
func withParameter(t testing.TB, database, name, value string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Set(name, value)
	u.RawQuery = query.Encode()
	return u.String()
}

// these returns a decision for the events, whatever the state.
func these(evs ...events.Event) eventlog.Decide {
	return func(config.Tree) ([]events.Event, error) { return evs, nil }
}

func set(key events.Key, value any) events.Event {
	return events.ValueSet{Key: key, Value: events.Value(fmt.Sprint(value))}
}

var created events.Event = events.NamespaceCreated{Open: true}

func request(ns events.Namespace) eventlog.Request {
	return eventlog.Request{Namespace: ns, Actor: "ann", Reason: "because"}
}

// mustAppend appends the events as one change set.
func mustAppend(t testing.TB, log *eventlog.Log, ns events.Namespace, evs ...events.Event) eventlog.Appended {
	t.Helper()
	a, err := log.Append(context.Background(), request(ns), these(evs...))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// readAll reads the whole log and checks what holds for every log: positions 1, 2, 3, … without a gap, each namespace's
// revisions too, change sets in one piece with one time, and times that never decrease.
func readAll(t testing.TB, log *eventlog.Log) []events.Recorded {
	t.Helper()
	var all []events.Recorded
	for {
		page, err := log.Read(context.Background(), eventlog.Query{After: events.Position(len(all))})
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		all = append(all, page...)
	}
	checkLog(t, all)
	return all
}

func checkLog(t testing.TB, all []events.Recorded) {
	t.Helper()
	for i, ev := range all {
		if ev.Position != events.Position(i+1) {
			t.Fatalf("event %d has position %d", i+1, ev.Position)
		}
	}
	revisions := map[events.Namespace]events.Revision{}
	var last time.Time
	for cs := range events.ChangeSets(all) {
		first := cs[0]
		if first.Revision != revisions[first.Namespace]+1 {
			t.Fatalf("event %d has revision %d of %s after %d", first.Position, first.Revision, first.Namespace, revisions[first.Namespace])
		}
		revisions[first.Namespace] = first.Revision
		if first.Time.Before(last) {
			t.Fatalf("event %d is of %s, before %s", first.Position, first.Time, last)
		}
		last = first.Time
		for _, ev := range cs {
			if !ev.Time.Equal(first.Time) {
				t.Fatalf("events %d and %d are of one change set and two times", first.Position, ev.Position)
			}
		}
	}
}

// together makes all the calls of post wait for the appender, which is kept busy meanwhile, so that they are one batch.
func together(t testing.TB, log *eventlog.Log, post ...func()) {
	t.Helper()
	entered, release := make(chan struct{}), make(chan struct{})
	done := make(chan struct{}, len(post)+1)
	go func() {
		defer func() { done <- struct{}{} }()
		first := true
		log.Append(context.Background(), request("busy"), func(config.Tree) ([]events.Event, error) {
			if first {
				first = false
				close(entered)
				<-release
			}
			return nil, nil
		})
	}()
	<-entered
	waiting := log.Waiting()
	for i, p := range post {
		go func() {
			defer func() { done <- struct{}{} }()
			p()
		}()
		testenv.Eventually(t, "the change set waits", func() bool { return log.Waiting() == waiting+int64(i)+1 })
	}
	close(release)
	for range len(post) + 1 {
		<-done
	}
}
