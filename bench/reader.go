package main

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// measureReader: what reading costs, against limits.
func (b *bench) measureReader(ctx context.Context) error {
	for _, keys := range []int{1_000, 100_000} {
		b.progress("reader of %d keys", keys)
		ns := events.Namespace(fmt.Sprintf("reader-%d", keys))
		rdb, err := b.writeView(ctx, ns, keys)
		if err != nil {
			return err
		}
		err = b.readerOf(ctx, rdb, ns, keys)
		rdb.Close()
		if err != nil {
			return err
		}
	}
	return b.measureChange(ctx)
}

func (b *bench) readerOf(ctx context.Context, rdb *redis.Client, ns events.Namespace, keys int) error {
	var loads []float64
	var r *readmodel.Reader
	for range b.rounds {
		if r != nil {
			r.Close()
		}
		start := time.Now()
		var err error
		if r, err = readmodel.Open(ctx, string(ns), readmodel.Config{Redis: b.system.redis.URL, Logger: quiet}); err != nil {
			return err
		}
		loads = append(loads, float64(time.Since(start)))
	}
	defer r.Close()
	if n := r.Snapshot().Len(); n != keys {
		return fmt.Errorf("reader has %d keys of %d", n, keys)
	}
	load := median(loads)
	name := fmt.Sprintf("%d keys", keys)
	loadBound := 0.0
	if keys == 100_000 {
		loadBound = 1
	}
	b.report.add(figure{name: "reader load, " + name, value: millis(load), peer: "limit 250 ms", ratio: load / 250e6, bound: loadBound, most: true})

	names := make([]string, 1024)
	for i := range names {
		names[i] = keyName(i * keys / len(names))
	}
	var gets []float64
	var allocs int64
	for range b.rounds {
		res := testing.Benchmark(func(tb *testing.B) {
			tb.ReportAllocs()
			i, n := 0, 0
			for tb.Loop() {
				if _, ok := r.Get(names[i&1023]); ok {
					n++
				}
				i++
			}
			if n != i {
				tb.Fatal("a key was not found")
			}
		})
		gets = append(gets, float64(res.T.Nanoseconds())/float64(res.N))
		allocs = max(allocs, res.AllocsPerOp())
	}
	limit := map[int]float64{1_000: 15, 100_000: 50}[keys]
	b.report.add(figure{name: "Get by string, " + name, value: fmt.Sprintf("%.1f ns, %d allocs", median(gets), allocs), peer: fmt.Sprintf("limit %.0f ns", limit), ratio: median(gets) / limit, bound: 1, most: true})
	return nil
}

// writeView writes a whole view as the projector does, through the contract.
func (b *bench) writeView(ctx context.Context, ns events.Namespace, keys int) (*redis.Client, error) {
	opts, err := redis.ParseURL(b.system.redis.URL)
	if err != nil {
		return nil, err
	}
	rdb := redis.NewClient(opts)
	pipe := rdb.Pipeline()
	for i := range keys {
		e := view.Entry{Value: events.Value(strconv.Itoa(i)), Kind: events.Int, Revision: 2, Position: events.Position(i + 2), From: string(ns)}
		pipe.HSet(ctx, view.ValuesKey(ns), keyName(i), view.EncodeEntry(e))
		if i%10_000 == 9_999 {
			if _, err := pipe.Exec(ctx); err != nil {
				return nil, err
			}
		}
	}
	pipe.HSet(ctx, view.HeadKey(ns), "epoch", "00000000-0000-4000-8000-000000000000", "term", 1, "position", keys+1, "revision", 2,
		"keys", keys, "updated_at", time.Now().UTC().Format(time.RFC3339Nano))
	_, err = pipe.Exec(ctx)
	return rdb, err
}

func keyName(i int) string { return fmt.Sprintf("service%d.group%d.setting%d", i%7, i%101, i) }

func machine() string {
	return fmt.Sprintf("%s/%s, %d cores, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
}
