package eventlog_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
)

// tailing runs Tail from after and sends each batch with events; it ends with the test.
func tailing(t *testing.T, log *eventlog.Log, after events.Position) <-chan []events.Recorded {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	batches, looked := make(chan []events.Recorded, 10_000), make(chan struct{}, 10_000)
	var tail sync.WaitGroup
	tail.Go(func() {
		err := log.Tail(ctx, after, func(evs []events.Recorded, _ eventlog.Head) error {
			if len(evs) > 0 {
				batches <- evs
			}
			looked <- struct{}{}
			return nil
		})
		if err != context.Canceled && !errors.Is(err, eventlog.ErrBeyondHead) {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); tail.Wait() })
	<-looked
	return batches
}

// What the tail's own process and another one write, at the same time, comes once and in order.
func TestTailOfAWriter(t *testing.T) {
	_, app := testenv.Database(t)
	own, other := open(t, eventlog.Config{URL: app}), open(t, eventlog.Config{URL: app})
	batches := tailing(t, own, 0)
	const writers, each = 4, 100
	for w := range writers {
		log := []*eventlog.Log{own, other}[w%2]
		go func() {
			ns := events.Namespace("w" + string(rune('0'+w)))
			mustAppend(t, log, ns, created)
			for i := range each {
				mustAppend(t, log, ns, set("a", i), set("b", i))
			}
		}()
	}
	var got []events.Recorded
	for len(got) < writers*(1+2*each) {
		got = append(got, <-batches...)
	}
	checkLog(t, got)
	if diff := cmp.Diff(readAll(t, own), got); diff != "" {
		t.Errorf("tailed differs from the log (-log +tailed):\n%s", diff)
	}
}

// What is handed over is passed on without a look at the database: here it does not even have it. What does not follow, is
// of another history or is more than fits makes the tail look, and only then is it passed on.
func TestTailHandOver(t *testing.T) {
	log := open(t, eventlog.Config{URL: second(testenv.Database(t)), Poll: time.Hour})
	mustAppend(t, log, "a", created)
	head, err := log.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	batches := tailing(t, log, 1)
	at := func(positions ...events.Position) (evs []events.Recorded) {
		for _, p := range positions {
			evs = append(evs, events.Recorded{Position: p, Namespace: "a", Revision: events.Revision(p), Event: set("k", int(p))})
		}
		return evs
	}
	reach := func(p events.Position) eventlog.Head { head.Position = p; return head }

	log.Publish(at(2), reach(2))
	if diff := cmp.Diff(at(2), <-batches); diff != "" {
		t.Fatalf("handed over (-want +got):\n%s", diff)
	}
	log.Publish(at(2, 3), reach(3)) // the first came already
	if diff := cmp.Diff(at(3), <-batches); diff != "" {
		t.Fatalf("handed over again (-want +got):\n%s", diff)
	}
}

func TestTailLooksWhenTheHandOverDoesNotFit(t *testing.T) {
	for name, publish := range map[string]func(log *eventlog.Log, head eventlog.Head){
		"gap": func(log *eventlog.Log, head eventlog.Head) {
			log.Publish([]events.Recorded{{Position: 9, Namespace: "a", Revision: 9, Event: set("k", 9)}}, head)
		},
		"other history": func(log *eventlog.Log, head eventlog.Head) {
			head.Epoch = "00000000-0000-4000-8000-000000000000"
			log.Publish([]events.Recorded{{Position: 2, Namespace: "a", Revision: 2, Event: set("k", 9)}}, head)
		},
		"too many": func(log *eventlog.Log, head eventlog.Head) {
			log.Publish(make([]events.Recorded, eventlog.MaxPage+1), head)
		},
		"unknown outcome": func(log *eventlog.Log, head eventlog.Head) { log.Publish(nil, head) },
	} {
		t.Run(name, func(t *testing.T) {
			owner, app := testenv.Database(t)
			log := open(t, eventlog.Config{URL: app, Poll: time.Hour})
			mustAppend(t, log, "a", created)
			head, err := log.Head(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			batches := tailing(t, log, 1)
			// Something is in the log that nobody has hinted at.
			execute(t, owner, `INSERT INTO events SELECT 2, namespace, 2, 'value.set.v1', 'k', '{"value":7}', actor, reason, at FROM events`)
			execute(t, owner, `UPDATE head SET position = 2`)
			publish(log, head)
			got := <-batches
			if len(got) != 1 || got[0].Position != 2 || got[0].Event != set("k", 7) {
				t.Errorf("got %+v, want the event that is in the log", got)
			}
		})
	}
}

func second(_, app string) string { return app }
