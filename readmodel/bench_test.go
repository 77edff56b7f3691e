package readmodel_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// sized returns n settings as a program has them.
func sized(n int) map[events.Key]events.Value {
	values := make(map[events.Key]events.Value, n)
	for i := range n {
		values[name(i)] = events.Value(fmt.Sprint(i))
	}
	return values
}

func name(i int) events.Key { return events.Key(fmt.Sprintf("service.part%d.setting_%d", i%10, i)) }

func BenchmarkGet(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		r := openFixed(b, sized(n), nil)
		names := make([]string, 1024)
		for i := range names {
			names[i] = string(name(i * 7919 % n))
		}
		b.Run(fmt.Sprintf("string/keys=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if e, ok := r.Get(names[i&1023]); !ok || e.Value == "" {
					b.Fatal("no value")
				}
			}
		})
		key := readmodel.Int(names[5], 1)
		b.Run(fmt.Sprintf("typed/keys=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if key.Get(r) == 1 {
					b.Fatal("no value")
				}
			}
		})
	}
}

// driven is a source that a benchmark drives.
type driven struct {
	fixed
	sink chan readmodel.Sink
}

func (d driven) Follow(ctx context.Context, ns events.Namespace, have view.Head, sink readmodel.Sink) error {
	d.sink <- sink
	return d.fixed.Follow(ctx, ns, have, sink)
}

func BenchmarkApplyOneOf100000(b *testing.B) {
	for _, declared := range []int{0, 1_000} {
		b.Run(fmt.Sprintf("declared=%d", declared), func(b *testing.B) {
			var known []readmodel.Declared
			for i := range declared {
				known = append(known, readmodel.Int(string(name(i*7919%100_000)), 0))
			}
			applyOne(b, known)
		})
	}
}

// applyOne changes one key after the other, those that are declared first.
func applyOne(b *testing.B, declared []readmodel.Declared) {
	f := fixed{}
	for key, v := range sized(100_000) {
		f[key] = readmodel.Entry{Value: v, Kind: events.Int, Position: 5, From: "payments"}
	}
	source := driven{f, make(chan readmodel.Sink, 1)}
	r, err := readmodel.Open(b.Context(), string(ns), readmodel.Config{Source: source, Keys: declared})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	sink, pos := <-source.sink, events.Position(7)
	keys := make([]events.Key, 4096)
	for i := range keys {
		keys[i] = name(i * 7919 % 100_000)
		if len(declared) > 0 {
			keys[i] = events.Key(declared[i%len(declared)].Name())
		}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		e := readmodel.Entry{Value: "1", Kind: events.Int, Position: pos + 1, From: "payments"}
		cs := view.ChangeSet{Epoch: "e", Namespace: ns, Position: pos + 1, Prev: pos, Changes: []view.Change{{Key: keys[i&4095], Entry: &e}}}
		if !sink.Apply(cs) {
			b.Fatal("not applied")
		}
		pos++
	}
}

func BenchmarkOpen100000(b *testing.B) {
	url, rdb := testenv.Redis(b)
	p := newProjector(b, rdb)
	for key, v := range sized(100_000) {
		p.entries[key] = readmodel.Entry{Value: v, Kind: events.Int, Revision: 3, Position: 5, From: "payments"}
	}
	p.head = view.Head{Position: 7, Revision: 3}
	if _, err := rdb.Pipelined(b.Context(), func(tx redis.Pipeliner) error {
		for key, e := range p.entries {
			tx.HSet(b.Context(), view.ValuesKey(ns), string(key), view.EncodeEntry(e))
		}
		p.writeHead(tx)
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	p.beat(7)
	b.ReportAllocs()
	for b.Loop() {
		r, err := readmodel.Open(b.Context(), string(ns), readmodel.Config{Redis: url, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		if n := r.Snapshot().Len(); n != 100_000 {
			b.Fatalf("got %d keys", n)
		}
		r.Close()
	}
}

func BenchmarkBound(b *testing.B) {
	r := openFixed(b, sized(1_000), nil)
	h, err := readmodel.Bind[struct {
		N int `holdfast:"service.part5.setting_5"`
	}](r)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if h.Load().N != 5 {
			b.Fatal("no value")
		}
	}
}

func BenchmarkGetOnSnapshot(b *testing.B) {
	s, key := openFixed(b, sized(1_000), nil).Snapshot(), readmodel.Int(string(name(5)), 1)
	b.ReportAllocs()
	for b.Loop() {
		if key.Get(s) != 5 {
			b.Fatal("no value")
		}
	}
}

func BenchmarkGetParallel(b *testing.B) {
	r, key := openFixed(b, sized(1_000), nil), readmodel.Int(string(name(5)), 1)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if key.Get(r) != 5 {
				b.Error("no value")
			}
		}
	})
}
