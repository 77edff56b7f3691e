package pmap_test

import (
	"fmt"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/holdfast-config/holdfast/internal/pmap"
)

type pm = *pmap.Map[string, int]

func content(m pm) map[string]int { return maps.Collect(m.All()) }

// keys are few, so that a run meets the same key often, but enough for a directory of many tables.
func keys(t *rapid.T) *rapid.Generator[string] {
	n := rapid.SampledFrom([]int{3, 40, 2000}).Draw(t, "distinct")
	return rapid.Map(rapid.IntRange(0, n), func(i int) string {
		if i == 0 {
			return "" // the empty key is a key
		}
		return fmt.Sprintf("key.%d", i)
	})
}

func TestBehavesLikeGoMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := keys(t)
		type version struct {
			m    pm
			want map[string]int
		}
		kept := []version{{nil, map[string]int{}}}
		m, want := pm(nil), map[string]int{}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"with", "without", "edit", "back"}).Draw(t, "do") {
			case "with":
				k, v := key.Draw(t, "k"), rapid.Int().Draw(t, "v")
				m, want[k] = m.With(k, v), v
			case "without":
				k := key.Draw(t, "k")
				m = m.Without(k)
				delete(want, k)
			case "edit":
				m = edit(t, m, want, key)
			case "back": // maps fork: go on from an older version
				v := rapid.SampledFrom(kept).Draw(t, "version")
				m, want = v.m, maps.Clone(v.want)
			}
			kept = append(kept, version{m, maps.Clone(want)})
		}
		for i, v := range kept {
			if diff := cmp.Diff(v.want, content(v.m)); diff != "" {
				t.Fatalf("version %d (-want +got):\n%s", i, diff)
			}
			check(t, v.m, v.want)
		}
	})
}

// edit makes many changes, in one editor that hands out maps on the way.
func edit(t *rapid.T, m pm, want map[string]int, key *rapid.Generator[string]) pm {
	e := m.Edit()
	between, then := pm(nil), map[string]int{}
	for i, k := range rapid.SliceOfN(key, 0, 500).Draw(t, "edits") {
		switch i % 5 {
		case 4:
			e.Delete(k)
			delete(want, k)
		default:
			e.Set(k, i)
			want[k] = i
		}
		if got, ok := e.Get(k); ok != (i%5 != 4) || ok && got != i {
			t.Fatalf("editor at %q: %d, %v", k, got, ok)
		}
		if i == 100 {
			between, then = e.Map(), maps.Clone(want)
		}
	}
	if diff := cmp.Diff(then, content(between)); diff != "" {
		t.Fatalf("a map that was handed out changed (-then +now):\n%s", diff)
	}
	if e.Len() != len(want) {
		t.Fatalf("editor has %d keys, want %d", e.Len(), len(want))
	}
	return e.Map()
}

func check(t *rapid.T, m pm, want map[string]int) {
	if m.Len() != len(want) {
		t.Fatalf("got %d keys, want %d", m.Len(), len(want))
	}
	for k, v := range want {
		if got, ok := m.Get(k); !ok || got != v {
			t.Fatalf("at %q: got %d, %v, want %d", k, got, ok, v)
		}
	}
	if _, ok := m.Get("never set"); ok {
		t.Fatal("found a key that was never set")
	}
}

func TestGrowsAndShrinks(t *testing.T) {
	const n = 20_000
	e := pm(nil).Edit()
	for i := range n {
		e.Set(fmt.Sprint(i), i)
	}
	full := e.Map()
	for i := range n {
		e.Delete(fmt.Sprint(i))
		if i%1000 == 0 && e.Map().Len() != n-i-1 {
			t.Fatalf("after %d deletions: %d keys", i+1, e.Map().Len())
		}
	}
	if got := content(e.Map()); len(got) != 0 {
		t.Errorf("after all were deleted: %v", got)
	}
	for i := range n {
		if v, ok := full.Get(fmt.Sprint(i)); !ok || v != i {
			t.Fatalf("the full map changed at %d: %d, %v", i, v, ok)
		}
	}
}

func TestGetDoesNotAllocate(t *testing.T) {
	m := pm(nil).With("db.max_conns", 20)
	if n := testing.AllocsPerRun(100, func() { m.Get("db.max_conns") }); n != 0 {
		t.Errorf("Get allocates %v times", n)
	}
}

func TestAllStops(t *testing.T) {
	m := pm(nil).With("a", 1).With("b", 2)
	seen := 0
	for range m.All() {
		seen++
		break
	}
	if seen != 1 {
		t.Errorf("went on after break: saw %d", seen)
	}
}
