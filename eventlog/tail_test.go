package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
)

// Three processes write while the tail's connection is cut again and again: nothing is missing, nothing is torn.
func TestTailMissesNothing(t *testing.T) {
	_, app := testenv.Database(t)
	network := testenv.Proxy(t, app)
	tailed := open(t, eventlog.Config{URL: network.URL})
	const writers, each = 3, 80
	var writing sync.WaitGroup
	progress := make(chan events.Position, writers*each)
	for w := range writers {
		log := open(t, eventlog.Config{URL: app})
		ns := events.Namespace(fmt.Sprintf("w%d", w))
		mustAppend(t, log, ns, created)
		writing.Go(func() {
			for i := range each {
				progress <- mustAppend(t, log, ns, set("a", i), set("b", i), set("c", i)).Position
			}
		})
	}
	go func() {
		writing.Wait()
		close(progress)
	}()
	go func() {
		n := 0
		for range progress {
			if n++; n%40 == 0 {
				network.Cut()
				network.Restore()
			}
		}
	}()
	const want = writers * (1 + 3*each)
	var got []events.Recorded
	done := errors.New("done")
	err := tailed.Tail(t.Context(), 0, func(evs []events.Recorded, head eventlog.Head) error {
		if len(evs) > 0 && len(got) > 0 {
			a, b := got[len(got)-1], evs[0]
			if a.Namespace == b.Namespace && a.Revision == b.Revision {
				t.Errorf("the change set of events %d and %d was torn", a.Position, b.Position)
			}
		}
		got = append(got, evs...)
		if int(head.Position) < len(got) {
			t.Errorf("head is at %d, behind event %d", head.Position, len(got))
		}
		if len(got) == want {
			return done
		}
		return nil
	})
	if err != done {
		t.Errorf("got %v, want fn's error", err)
	}
	checkLog(t, got)
	writing.Wait()
}

func TestTailPages(t *testing.T) {
	log := testenv.Log(t)
	mustAppend(t, log, "a", created)
	for range 5 {
		var evs []events.Event
		for i := range 900 {
			evs = append(evs, set("k", i))
		}
		mustAppend(t, log, "a", evs...)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var pages []int
	err := log.Tail(ctx, 1, func(evs []events.Recorded, head eventlog.Head) error {
		pages = append(pages, len(evs))
		if evs[len(evs)-1].Position == head.Position {
			cancel()
		}
		return nil
	})
	if err != context.Canceled {
		t.Error(err)
	}
	if diff := cmp.Diff([]int{1800, 1800, 900}, pages); diff != "" {
		t.Error(diff)
	}
}

// Hints are heard at once; without them, as after a fault of the notification, polling finds the events.
func TestTailHintsAndPolls(t *testing.T) {
	for _, tt := range []struct {
		name string
		poll time.Duration
		add  func(t *testing.T, log *eventlog.Log, owner string)
	}{
		{"hint", time.Hour, func(t *testing.T, log *eventlog.Log, _ string) { mustAppend(t, log, "b", created) }},
		{"poll", 20 * time.Millisecond, func(t *testing.T, _ *eventlog.Log, owner string) {
			execute(t, owner, `
				WITH moved AS (UPDATE head SET position = 2 RETURNING at)
				INSERT INTO events
				SELECT 2, 'b', 1, 'namespace.created.v1', NULL, '{}', 'x', '', at
				FROM moved`)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			owner, app := testenv.Database(t)
			log := open(t, eventlog.Config{URL: app, Poll: tt.poll})
			mustAppend(t, log, "a", created)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			done := errors.New("done")
			err := log.Tail(ctx, 1, func(evs []events.Recorded, head eventlog.Head) error {
				switch {
				case len(evs) == 0 && head.Position == 1:
					if tt.add != nil {
						tt.add(t, log, owner)
						tt.add = nil
					}
					return nil
				case len(evs) == 1 && evs[0].Position == 2 && head.Position == 2:
					return done
				}
				return fmt.Errorf("got %v with head %v", evs, head)
			})
			if err != done {
				t.Error(err)
			}
		})
	}
}

func TestTailStops(t *testing.T) {
	owner, app := testenv.Database(t)
	log := open(t, eventlog.Config{URL: app, Poll: 10 * time.Millisecond})
	mustAppend(t, log, "a", created)
	nothing := func([]events.Recorded, eventlog.Head) error { return nil }
	if err := log.Tail(t.Context(), 2, nothing); !errors.Is(err, eventlog.ErrBeyondHead) {
		t.Errorf("beyond the end: got %v, want %v", err, eventlog.ErrBeyondHead)
	}
	changed := false
	err := log.Tail(t.Context(), 0, func([]events.Recorded, eventlog.Head) error {
		if !changed {
			execute(t, owner, `UPDATE head SET epoch = gen_random_uuid()`)
			changed = true
		}
		return nil
	})
	if !errors.Is(err, eventlog.ErrEpochChanged) {
		t.Errorf("another epoch: got %v, want %v", err, eventlog.ErrEpochChanged)
	}
}

// The events before one of an unknown type are delivered, but for those of its own change set.
func TestTailStopsAtUnknownType(t *testing.T) {
	owner, app := testenv.Database(t)
	log := open(t, eventlog.Config{URL: app})
	mustAppend(t, log, "a", created)
	mustAppend(t, log, "a", set("k", 1))
	execute(t, owner, `
		INSERT INTO events
		VALUES (3, 'a', 3, 'value.unset.v1', 'k', '{}', 'x', '', now()),
		    (4, 'a', 3, 'key.renamed.v1', 'k', '{}', 'x', '', now())`)
	execute(t, owner, `UPDATE head SET position = 4`)
	var got []events.Position
	err := log.Tail(t.Context(), 0, func(evs []events.Recorded, _ eventlog.Head) error {
		for _, ev := range evs {
			got = append(got, ev.Position)
		}
		return nil
	})
	if unknown, ok := errors.AsType[*events.UnknownTypeError](err); !ok || unknown.Type != "key.renamed.v1" {
		t.Errorf("got %v, want the unknown type", err)
	}
	if diff := cmp.Diff([]events.Position{1, 2}, got); diff != "" {
		t.Error(diff)
	}
}

// A server that hangs is noticed, and the tail goes on over a new connection.
func TestTailThroughHang(t *testing.T) {
	_, app := testenv.Database(t)
	network := testenv.Proxy(t, app)
	direct := open(t, eventlog.Config{URL: app})
	log := open(t, eventlog.Config{URL: network.URL, Timeout: 300 * time.Millisecond, Poll: 20 * time.Millisecond})
	done := errors.New("done")
	looks := 0
	err := log.Tail(t.Context(), 0, func(evs []events.Recorded, _ eventlog.Head) error {
		if looks++; looks == 1 {
			network.Hang()
			go func() {
				mustAppend(t, direct, "a", created)
				network.Cut()
				network.Restore()
			}()
		}
		if len(evs) == 1 {
			return done
		}
		return nil
	})
	if err != done {
		t.Error(err)
	}
}

func TestAwait(t *testing.T) {
	log := testenv.Log(t)
	mustAppend(t, log, "a", created)
	if err := log.Await(t.Context(), 1); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := log.Await(ctx, 2); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v before the position is there", err)
	}
	reached := make(chan error)
	go func() { reached <- log.Await(context.Background(), 2) }()
	mustAppend(t, log, "a", set("k", 1))
	if err := <-reached; err != nil {
		t.Error(err)
	}
}

// A tail that begins when the log is small, as the server knows, must not go on to read all of one that grows.
func TestTailReadsByPosition(t *testing.T) {
	owner, app := testenv.Database(t)
	log := open(t, eventlog.Config{URL: app})
	mustAppend(t, log, "a", created)
	execute(t, owner, "ANALYZE events")
	plan, err := log.PlanOfTail(t.Context())
	if err != nil || !strings.Contains(plan, "Index Scan using events_position") || !strings.Contains(plan, "$1") {
		t.Errorf("%v\n%s", err, plan)
	}
}
