package projections

import (
	"context"
	"fmt"
	"testing"

	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
)

// BenchmarkProject is what a change set costs, once Tail has delivered it: in batches as they come under load.
func BenchmarkProject(b *testing.B) {
	for _, size := range []int{1, 100, 1_000} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			ctx := context.Background()
			log := testenv.Log(b)
			_, rdb := testenv.Redis(b)
			post(b, log, "a", created(), set("k", "1"))
			s := newSession(New(log, rdb, quick), 1)
			if err := s.start(ctx); err != nil {
				b.Fatal(err)
			}
			head, at, rev := headOf(b, log), s.position, events.Revision(1)
			evs := make([]events.Recorded, size)
			for b.Loop() {
				for i := range evs {
					at, rev = at+1, rev+1
					evs[i] = events.Recorded{Position: at, Namespace: "a", Revision: rev, Time: head.Time, Actor: "alice",
						Event: set(key(int(at)%1_000), "1")}
				}
				if err := s.project(ctx, evs, eventlog.Head{Epoch: s.epoch, Position: at}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "changesets/s")
		})
	}
}

// BenchmarkRebuild is what putting a view of 100,000 keys in place costs.
func BenchmarkRebuild(b *testing.B) {
	ctx := context.Background()
	log := testenv.Log(b)
	_, rdb := testenv.Redis(b)
	post(b, log, "a", created())
	for i := 0; i < 100_000; i += 1_000 {
		evs := make([]events.Event, 1_000)
		for j := range evs {
			evs[j] = set(key(i+j), `"a value"`)
		}
		post(b, log, "a", evs...)
	}
	s := newSession(New(log, rdb, quick), 1)
	if err := s.start(ctx); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := s.rebuild(ctx, map[events.Namespace]bool{"a": true}); err != nil {
			b.Fatal(err)
		}
	}
}
