package main

import (
	"context"
	"fmt"
	"runtime"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel"
)

// measureReaders: what a thousand readers in one process cost, each by itself and with shared sources.
func (b *bench) measureReaders(ctx context.Context) error {
	const keys, ns = 100, events.Namespace("many")
	rdb, err := b.writeView(ctx, ns, keys)
	if err != nil {
		return err
	}
	defer rdb.Close()
	if err := b.manyReaders(ctx, rdb, ns, fmt.Sprintf("readers of %d keys in one process", keys), false); err != nil {
		return err
	}
	return b.manyReaders(ctx, rdb, ns, fmt.Sprintf("readers of %d keys sharing", keys), true)
}

func (b *bench) manyReaders(ctx context.Context, rdb *redis.Client, ns events.Namespace, name string, sharing bool) error {
	const many = 1_000
	b.progress("%d %s", many, name)
	memory, goroutines := footprint()
	others, err := connections(ctx, rdb)
	if err != nil {
		return err
	}
	readers := make([]*readmodel.Reader, 0, many)
	defer func() {
		for _, r := range readers {
			r.Close()
		}
	}()
	for range many {
		cfg := readmodel.Config{Redis: b.system.redis.URL, Logger: quiet, NoReports: true}
		if sharing && len(readers) > 0 {
			cfg.Redis, cfg.Share = "", readers[0]
		}
		r, err := readmodel.Open(ctx, string(ns), cfg)
		if err != nil {
			return err
		}
		readers = append(readers, r)
	}
	heap, running := footprint()
	conns, err := connections(ctx, rdb)
	if err != nil {
		return err
	}
	b.report.add(figure{
		name: fmt.Sprintf("%d %s", many, name),
		value: fmt.Sprintf("%.1f KiB, %.2f goroutines a reader; %d connections",
			float64(heap-memory)/many/1024, float64(running-goroutines)/many, conns-others),
	})
	return nil
}

// connections is how many clients Redis has.
func connections(ctx context.Context, rdb *redis.Client) (int, error) {
	list, err := rdb.ClientList(ctx).Result()
	return strings.Count(list, "\n"), err
}

// footprint is the memory that Go holds for heap and stacks, after a collection, and the number of goroutines.
func footprint() (bytes int64, goroutines int) {
	runtime.GC()
	runtime.GC() // what the first one's finalizers let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse), runtime.NumGoroutine()
}
