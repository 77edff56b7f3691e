package eventlog_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
)

// BenchmarkAppend appends change sets of one event. With HOLDFAST_TEST_POSTGRES it measures that server: one that was
// started for tests does not wait for the disk.
func BenchmarkAppend(b *testing.B) {
	for _, clients := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			log := testenv.Log(b)
			mustAppend(b, log, "bench", created)
			work := make(chan int, 1024)
			var running sync.WaitGroup
			b.ResetTimer()
			for c := range clients {
				running.Go(func() {
					key := events.Key(fmt.Sprintf("key.%d", c))
					for n := range work {
						if _, err := log.Append(context.Background(), request("bench"), these(set(key, n))); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for n := range b.N {
				work <- n
			}
			close(work)
			running.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "changesets/s")
		})
	}
}

// BenchmarkLoad loads a namespace of 10,000 keys.
func BenchmarkLoad(b *testing.B) {
	log := testenv.Log(b)
	mustAppend(b, log, "bench", created)
	for i := range 10 {
		var evs []events.Event
		for k := range 1000 {
			evs = append(evs, set(events.Key(fmt.Sprintf("key.%d.%d", i, k)), k))
		}
		mustAppend(b, log, "bench", evs...)
	}
	for b.Loop() {
		if _, err := log.Load(context.Background(), "bench", 0); err != nil {
			b.Fatal(err)
		}
	}
}
