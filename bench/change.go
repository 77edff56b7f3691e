package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// measureChange: what one changed key costs in a reader of many keys, with a consistent snapshot each time.
func (b *bench) measureChange(ctx context.Context) error {
	const keys, ns = 100_000, events.Namespace("change")
	b.progress("one change in %d keys", keys)
	src := &handSource{keys: keys, sink: make(chan readmodel.Sink, 1)}
	r, err := readmodel.Open(ctx, string(ns), readmodel.Config{Source: src, Logger: quiet})
	if err != nil {
		return err
	}
	defer r.Close()
	sink := <-src.sink
	pos := events.Position(keys)
	var costs []float64
	for range b.rounds {
		res := testing.Benchmark(func(tb *testing.B) {
			for tb.Loop() {
				e := view.Entry{Value: "1", Kind: events.Int, Revision: 3, Position: pos + 1, From: string(ns)}
				if !sink.Apply(view.ChangeSet{
					Epoch: handEpoch, Term: 1, Namespace: ns, Position: pos + 1, Prev: pos, Revision: 3, Origin: ns, Time: time.Now(),
					Changes: []view.Change{{Key: events.Key(keyName(int(pos) % keys)), Entry: &e}},
				}) {
					tb.Fatal("change was not applied")
				}
				pos++
			}
		})
		costs = append(costs, float64(res.T.Nanoseconds())/float64(res.N))
	}
	b.report.add(figure{name: "one change, 100000 keys", value: fmt.Sprintf("%.1f µs", median(costs)/1e3), peer: "limit 20 µs", ratio: median(costs) / 20e3, bound: 1, most: true})
	return nil
}

const handEpoch = "00000000-0000-4000-8000-000000000000"

// handSource loads a made-up view and hands its sink to the benchmark.
type handSource struct {
	keys int
	sink chan readmodel.Sink
}

func (s *handSource) Name() string { return "hand" }
func (s *handSource) Close() error { return nil }

func (s *handSource) Follow(ctx context.Context, ns events.Namespace, _ view.Head, sink readmodel.Sink) error {
	entries := make(map[events.Key]view.Entry, s.keys)
	for i := range s.keys {
		entries[events.Key(keyName(i))] = view.Entry{Value: "0", Kind: events.Int, Revision: 2, Position: events.Position(s.keys), From: string(ns)}
	}
	sink.Load(view.Head{Epoch: handEpoch, Term: 1, Position: events.Position(s.keys), Revision: 2, Keys: s.keys}, entries)
	sink.Confirm(events.Position(s.keys), events.Position(s.keys), time.Now())
	s.sink <- sink
	<-ctx.Done()
	return ctx.Err()
}
