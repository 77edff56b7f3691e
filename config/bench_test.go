package config_test

import (
	"fmt"
	"testing"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

// grown returns a tree with n defined keys that have values in one namespace, and the keys.
func grown(n int) (config.Tree, []events.Key) {
	f := config.NewFold(config.Tree{})
	keys := make([]events.Key, n)
	at := events.Position(1)
	f.Apply(events.Recorded{Position: at, Namespace: "payments", Revision: 1, Event: events.NamespaceCreated{}})
	for i := range n {
		keys[i] = events.Key(fmt.Sprintf("group%d.setting_%d", i%17, i))
		at += 2
		f.Apply(events.Recorded{Position: at - 1, Namespace: "payments", Revision: 2, Event: events.KeyDefined{
			Key: keys[i], Definition: events.Definition{Kind: events.Int, Default: "5", Min: "0", Max: "1000000"},
		}})
		f.Apply(events.Recorded{Position: at, Namespace: "payments", Revision: 2, Event: events.ValueSet{Key: keys[i], Value: "7"}})
	}
	return f.Tree(), keys
}

func BenchmarkFold(b *testing.B) {
	t, keys := grown(100_000)
	f, at := config.NewFold(t), t.Position()
	for i := 0; b.Loop(); i++ {
		at++
		f.Apply(events.Recorded{Position: at, Namespace: "payments", Revision: 3, Event: events.ValueSet{Key: keys[i*7919%len(keys)], Value: "8"}})
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkEvolve(b *testing.B) {
	for _, n := range []int{300, 100_000} {
		t, keys := grown(n)
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				t = t.Evolve(events.Recorded{
					Position: t.Position() + 1, Namespace: "payments", Revision: 3, Event: events.ValueSet{Key: keys[i*7919%n], Value: "8"},
				})
			}
		})
	}
}

func BenchmarkEffective(b *testing.B) {
	t, keys := grown(100_000)
	at := t.Position() + 1
	t = t.Evolve(events.Recorded{Position: at, Namespace: "payments.prod", Revision: 1, Event: events.NamespaceCreated{}})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		t.Effective("payments.prod", keys[i*7919%len(keys)])
	}
}

func BenchmarkEntries(b *testing.B) {
	t, keys := grown(100_000)
	for b.Loop() {
		n := 0
		for range t.Entries("payments") {
			n++
		}
		if n != len(keys) {
			b.Fatal(n)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	t, keys := grown(1)
	d, _, _ := t.Definition("payments", keys[0])
	for b.Loop() {
		if _, err := d.Check("512"); err != nil {
			b.Fatal(err)
		}
	}
}
