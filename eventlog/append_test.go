package eventlog_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
)

// these returns a decision for the events, whatever the state.
func these(evs ...events.Event) eventlog.Decide {
	return func(config.Tree) ([]events.Event, error) { return evs, nil }
}

func set(key events.Key, value string) events.Event {
	return events.ValueSet{Key: key, Value: events.Value(value)}
}

func mustAppend(t testing.TB, log *eventlog.Log, ns events.Namespace, evs ...events.Event) eventlog.Appended {
	t.Helper()
	a, err := log.Append(t.Context(), eventlog.Request{Namespace: ns, Actor: "ann", Reason: "test"}, these(evs...))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestX(t *testing.T) {
	log := testenv.Log(t)
	fmt.Println(mustAppend(t, log, "a", events.NamespaceCreated{Open: true}, set("k", "1")))
	fmt.Println(mustAppend(t, log, "a", set("k", "2")))
	fmt.Println(mustAppend(t, log, "a"))
	fmt.Println(log.Read(t.Context(), eventlog.Query{}))
	fmt.Println(log.Read(t.Context(), eventlog.Query{Namespace: "a", Key: "k"}))
	tr, err := log.Present(t.Context(), "a")
	fmt.Println(tr.Effective("a", "k"))
	l, err2 := log.Load(t.Context(), "a", 0)
	fmt.Println(err, err2, tr.Equal(l))
}

func BenchmarkAppend(b *testing.B) {
	for _, clients := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			log := testenv.Log(b)
			mustAppend(b, log, "bench", events.NamespaceCreated{Open: true})
			var wg sync.WaitGroup
			work := make(chan int, 1024)
			b.ResetTimer()
			for c := range clients {
				wg.Go(func() {
					req := eventlog.Request{Namespace: "bench", Actor: "bench", Reason: "bench"}
					key := events.Key(fmt.Sprintf("key.%d", c))
					for n := range work {
						if _, err := log.Append(context.Background(), req, these(set(key, fmt.Sprint(n)))); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for n := range b.N {
				work <- n
			}
			close(work)
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "changes/s")
		})
	}
}
