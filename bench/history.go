package main

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
)

// measureHistory: what was in force in a namespace of 1,000 keys, as of early and late positions of its history. It costs by
// the keys: with hundreds of times the history before the position, not twice as much.
func (b *bench) measureHistory(ctx context.Context) error {
	b.progress("as of a position")
	log, err := eventlog.Open(ctx, eventlog.Config{URL: b.system.database, Logger: quiet})
	if err != nil {
		return err
	}
	defer log.Close()
	end := events.Position(b.history)
	if end < 10*fillKeys {
		return fmt.Errorf("a log of %d events is too short; give -events", end)
	}
	points := []events.Position{2 * fillKeys, end / 2, end} // each has all keys
	costs := make([][]float64, len(points))
	for range 5 * b.rounds { // the points take turns
		for i, at := range points {
			began := time.Now()
			tree, err := log.Load(ctx, fillNS, at)
			if err != nil {
				return err
			}
			costs[i] = append(costs[i], float64(time.Since(began)))
			if tree.Len() != fillKeys || tree.Position() != at {
				return fmt.Errorf("as of %d there are %d keys at %d", at, tree.Len(), tree.Position())
			}
		}
	}
	early := median(costs[0])
	for i, at := range points[1:] {
		b.report.add(figure{
			name:  fmt.Sprintf("as of position %d, %d keys", at, fillKeys),
			value: millis(median(costs[i+1])),
			peer:  fmt.Sprintf("as of %d, %s", points[0], millis(early)), ratio: median(costs[i+1]) / early, bound: 2, most: true,
		})
	}
	return nil
}
