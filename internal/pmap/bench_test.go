package pmap_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/holdfast-config/holdfast/internal/pmap"
)

// fill returns a map of n keys and the keys in random order, with memory of their own: a look-up compares bytes.
func fill(n int) (*pmap.Map[string, *int], []string) {
	e := (*pmap.Map[string, *int])(nil).Edit()
	keys := make([]string, n)
	for i := range n {
		e.Set(fmt.Sprintf("group%d.setting_%d", i%17, i), &i)
		keys[i] = fmt.Sprintf("group%d.setting_%d", i%17, i)
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(n, func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return e.Map(), keys
}

var sizes = []int{10, 1_000, 100_000}

func BenchmarkGet(b *testing.B) {
	for _, n := range sizes {
		m, keys := fill(n)
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i == len(keys) {
					i = 0
				}
				if _, ok := m.Get(keys[i]); !ok {
					b.Fatal(keys[i])
				}
			}
		})
	}
}

// BenchmarkGoMap is the peer: the built-in map, which can not be shared between versions.
func BenchmarkGoMap(b *testing.B) {
	for _, n := range sizes {
		m, keys := fill(n)
		std := map[string]*int{}
		for k, v := range m.All() {
			std[k] = v
		}
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				if i == len(keys) {
					i = 0
				}
				if _, ok := std[keys[i]]; !ok {
					b.Fatal(keys[i])
				}
			}
		})
	}
}

func BenchmarkWith(b *testing.B) {
	for _, n := range sizes {
		m, keys := fill(n)
		v := new(int)
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				m = m.With(keys[i%n], v)
			}
		})
	}
}

func BenchmarkEditorSet(b *testing.B) {
	m, keys := fill(100_000)
	e, v := m.Edit(), new(int)
	for i := 0; b.Loop(); i++ {
		e.Set(keys[i%len(keys)], v)
	}
}
