package config_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

// held is what a diff compares of a key: its value, and its definition without where it comes from.
type held struct {
	value      events.Value
	definition *events.Definition
}

func heldOf(h config.Held) (is held) {
	if h.Entry != nil {
		is.value = h.Entry.Value
	}
	if h.Definition != nil {
		is.definition = &h.Definition.Definition
	}
	return is
}

// heldIn looks at every key by itself, through what a tree tells of one, and not at what a diff walks over.
func heldIn(t config.Tree, ns events.Namespace, own bool) map[events.Key]held {
	all := map[events.Key]held{}
	space, _ := t.Namespace(ns)
	for key := range t.Keys(ns) {
		var h config.Held
		if e, ok := t.Effective(ns, key); ok && (!own || e.From == string(ns)) {
			h.Entry = &e
		}
		if d, _, ok := t.Definition(ns, key); ok {
			h.Definition = d
		}
		if own {
			k, _ := space.Key(key)
			h.Definition = k.Definition
		}
		if is := heldOf(h); is != (held{}) {
			all[key] = is
		}
	}
	return all
}

// A difference applied to the one side gives the other, each key is there once and in order, and none is there for nothing.
func TestDiffLeadsFromOneToTheOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := anyHistory(t)
		a := history(h[:rapid.IntRange(0, len(h)).Draw(t, "a")]).tree()
		b := history(h[:rapid.IntRange(0, len(h)).Draw(t, "b")]).tree()
		from := rapid.SampledFrom(someSpaces).Draw(t, "from")
		to := rapid.SampledFrom(someSpaces).Draw(t, "to")
		own := rapid.Bool().Draw(t, "own")
		is := heldIn(a, from, own)
		var keys []events.Key
		for _, d := range config.Diff(a, from, b, to, own) {
			was, will := heldOf(d.From), heldOf(d.To)
			if diff := cmp.Diff(is[d.Key], was, cmp.AllowUnexported(held{})); diff != "" {
				t.Fatalf("%s from: %s", d.Key, diff)
			}
			if cmp.Equal(was, will, cmp.AllowUnexported(held{})) {
				t.Fatalf("%s does not differ", d.Key)
			}
			if is[d.Key] = will; will == (held{}) {
				delete(is, d.Key)
			}
			keys = append(keys, d.Key)
		}
		if diff := cmp.Diff(heldIn(b, to, own), is, cmp.AllowUnexported(held{})); diff != "" {
			t.Fatalf("applied to one side: %s", diff)
		}
		if !slices.IsSorted(keys) || len(slices.Compact(slices.Clone(keys))) != len(keys) {
			t.Fatalf("keys are %v", keys)
		}
	})
}

func TestDiff(t *testing.T) {
	var h history
	h.add("pay", created(), define("conns", events.Definition{Kind: events.Int, Default: "5"}), set("host", `"a"`))
	h.add("pay.prod", created(), set("conns", "50"))
	h.add("pay.test", created(), set("host", `"a"`))
	tree := h.tree()
	h.add("pay", define("conns", events.Definition{Kind: events.Int, Default: "6"}))
	h.add("pay.prod", set("conns", "5"))
	later := h.tree()
	for _, tt := range []struct {
		name     string
		a, b     config.Tree
		from, to events.Namespace
		own      bool
		want     []string // key, from → to, a D for a definition that differs
	}{
		{"what a definition above changes", tree, later, "pay.test", "pay.test", false, []string{"conns: 5 → 6 D"}},
		{"own things only", tree, later, "pay.test", "pay.test", true, nil},
		{"a value that becomes what it was by another way", tree, later, "pay.test", "pay.prod", false, []string{"conns: 5 → 5 D"}},
		{"two namespaces", tree, tree, "pay.prod", "pay.test", false, []string{"conns: 50 → 5"}},
		{"their own things", tree, tree, "pay.prod", "pay.test", true, []string{"conns: 50 → none", `host: none → "a"`}},
		{"a default is not an own value", tree, later, "pay", "pay", true, []string{"conns: none → none D"}},
		{"what does not exist", tree, tree, "pay.qa", "pay.test", true, []string{`host: none → "a"`}},
		{"nothing", tree, tree, "pay.prod", "pay.prod", false, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, d := range config.Diff(tt.a, tt.from, tt.b, tt.to, tt.own) {
				from, to := heldOf(d.From), heldOf(d.To)
				text := string(d.Key) + ": " + orNone(from.value) + " → " + orNone(to.value)
				if !cmp.Equal(from.definition, to.definition) {
					text += " D"
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func orNone(v events.Value) string {
	if v == "" {
		return "none"
	}
	return string(v)
}
