package eventlog_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
)

// Who appends notifies if somebody else may tail, and only then.
func TestHintsAreForThoseWhoWantThem(t *testing.T) {
	_, app := testenv.Database(t)
	hints := listen(t, app)
	log := open(t, eventlog.Config{URL: app})
	mustAppend(t, log, "a", created)
	mustAppend(t, log, "a", set("k", 1), set("l", 1)) // more than one event are another statement
	if n := hints(); n != 0 {
		t.Errorf("%d hints though nobody tails", n)
	}
	end := tailElsewhere(t, app)
	for _, evs := range [][]events.Event{{set("k", 2)}, {set("k", 3), set("l", 3)}} {
		if mustAppend(t, log, "a", evs...); hints() != 1 {
			t.Errorf("another process tails, and had no hint of %d events", len(evs))
		}
	}
	end()
	testenv.Eventually(t, "no hints when the other has gone", func() bool {
		mustAppend(t, log, "a", set("k", 4))
		return hints() == 0
	})
	other := open(t, eventlog.Config{URL: app})
	for _, l := range []*eventlog.Log{other, log} { // each may have tails, which it hands only what it appends itself
		if mustAppend(t, l, "a", set("k", 4)); hints() != 1 {
			t.Error("two processes append, and one had no hint of the other")
		}
	}
}

// A tail that is handed what is appended leaves the hints to the appender's connection, and wants them itself again when
// nothing comes.
func TestTailWantsHintsWhileItIsNotFed(t *testing.T) {
	_, app := testenv.Database(t)
	hints, conn := listen(t, app), connect(t, app)
	log := open(t, eventlog.Config{URL: app, Poll: 300 * time.Millisecond})
	mustAppend(t, log, "a", created)
	tailing(t, log, 1)
	wanting := func(sessions int) func() bool {
		return func() bool {
			var n int
			if err := conn.QueryRow(t.Context(), `
				SELECT count(*)
				FROM pg_locks JOIN pg_database ON pg_database.oid = database
				WHERE locktype = 'advisory' AND mode = 'ShareLock' AND granted AND datname = current_database()`).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n == sessions
		}
	}
	testenv.Eventually(t, "appender and tail want hints", wanting(2))
	testenv.Eventually(t, "a process does not notify itself", func() bool {
		for range 20 {
			mustAppend(t, log, "a", set("k", 4))
		}
		return hints() == 0
	})
	testenv.Eventually(t, "the tail wants hints when nothing comes", wanting(2))
}

// Somebody who keeps the lock, or a commit that hangs with it, holds up neither those who tail nor those who append.
func TestHintsAreNotWaitedFor(t *testing.T) {
	_, app := testenv.Database(t)
	if _, err := connect(t, app).Exec(t.Context(), `SELECT pg_advisory_lock(x'686F6C6468696E74'::bigint)`); err != nil {
		t.Fatal(err)
	}
	log := open(t, eventlog.Config{URL: app, Timeout: 2 * time.Second})
	mustAppend(t, log, "a", created)
	batches := tailing(t, open(t, eventlog.Config{URL: app, Timeout: 2 * time.Second, Poll: 20 * time.Millisecond}), 1)
	mustAppend(t, log, "a", set("k", 1))
	if evs := <-batches; len(evs) != 1 {
		t.Errorf("tailed %d events, want 1", len(evs))
	}
}

// tailElsewhere tails as another process does, which appends nothing, until end is called.
func tailElsewhere(t testing.TB, url string) (end func()) {
	t.Helper()
	log := open(t, eventlog.Config{URL: url})
	ctx, cancel := context.WithCancel(t.Context())
	looked := make(chan struct{}, 1)
	var tail sync.WaitGroup
	tail.Go(func() {
		log.Tail(ctx, 0, func([]events.Recorded, eventlog.Head) error {
			select {
			case looked <- struct{}{}:
			default:
			}
			return nil
		})
	})
	<-looked
	return func() { cancel(); tail.Wait() }
}

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// listen returns what counts the hints since it was called last.
func listen(t testing.TB, url string) func() int {
	t.Helper()
	conn := connect(t, url)
	if _, err := conn.Exec(t.Context(), "LISTEN holdfast_events"); err != nil {
		t.Fatal(err)
	}
	return func() (n int) {
		t.Helper()
		const end = "that is all"
		execute(t, url, "SELECT pg_notify('holdfast_events', '"+end+"')") // notifications come in the order of commits
		for ; ; n++ {
			hint, err := conn.WaitForNotification(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if hint.Payload == end {
				return n
			}
		}
	}
}
