package main

import (
	"context"
	"fmt"
	"runtime"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel"
)

// measureReaders: what a thousand readers in one process cost.
func (b *bench) measureReaders(ctx context.Context) error {
	const many, keys, ns = 1_000, 100, events.Namespace("many")
	b.progress("%d readers in one process", many)
	rdb, err := b.writeView(ctx, ns, keys)
	if err != nil {
		return err
	}
	defer rdb.Close()
	memory, goroutines := footprint()
	readers := make([]*readmodel.Reader, 0, many)
	defer func() {
		for _, r := range readers {
			r.Close()
		}
	}()
	for range many {
		r, err := readmodel.Open(ctx, string(ns), readmodel.Config{Redis: b.system.redis.URL, Logger: quiet, NoReports: true, AllowDefaults: false})
		if err != nil {
			return err
		}
		readers = append(readers, r)
	}
	heap, running := footprint()
	b.report.add(figure{
		name:  fmt.Sprintf("%d readers of %d keys in one process", many, keys),
		value: fmt.Sprintf("%.0f KiB, %.1f goroutines a reader", float64(heap-memory)/many/1024, float64(running-goroutines)/many),
	})
	return nil
}

// footprint is the memory that Go holds for heap and stacks, after a collection, and the number of goroutines.
func footprint() (bytes int64, goroutines int) {
	runtime.GC()
	runtime.GC() // what the first one's finalizers let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse), runtime.NumGoroutine()
}
