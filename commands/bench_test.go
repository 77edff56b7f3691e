package commands_test

import (
	"fmt"
	"testing"

	"github.com/holdfast-config/holdfast/commands"
	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

// large returns a tree of n defined keys in one namespace.
func large(n int) (config.Tree, []events.Key) {
	f := config.NewFold(config.Tree{})
	f.Apply(events.Recorded{Position: 1, Namespace: "pay", Revision: 1, Event: events.NamespaceCreated{}})
	keys := make([]events.Key, n)
	for i := range n {
		keys[i] = events.Key(fmt.Sprintf("group%d.setting_%d", i%17, i))
		f.Apply(events.Recorded{Position: events.Position(i + 2), Namespace: "pay", Revision: 1, Event: events.KeyDefined{
			Key: keys[i], Definition: events.Definition{Kind: events.Int, Min: "0", Max: "1000000"},
		}})
	}
	return f.Tree(), keys
}

func BenchmarkDecideSet(b *testing.B) {
	for _, n := range []int{300, 100_000} {
		tree, keys := large(n)
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				evs, err := commands.Decide(tree, commands.ChangeSet{
					Namespace: "pay", Actor: "ann", Commands: []commands.Command{commands.Set{Key: keys[i*7919%n], Value: "512"}},
				})
				if err != nil || len(evs) != 1 {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDecideUnknown is the refusal with the dearest text: it looks for the nearest of 100,000 names.
func BenchmarkDecideUnknown(b *testing.B) {
	tree, _ := large(100_000)
	for b.Loop() {
		if _, err := commands.Decide(tree, commands.ChangeSet{
			Namespace: "pay", Actor: "ann", Commands: []commands.Command{commands.Set{Key: "gruop5.setting_12345", Value: "512"}},
		}); err == nil {
			b.Fatal("taken")
		}
	}
}

// BenchmarkDecideRemove looks for who requires the key.
func BenchmarkDecideRemove(b *testing.B) {
	tree, keys := large(100_000)
	for b.Loop() {
		if _, err := commands.Decide(tree, commands.ChangeSet{
			Namespace: "pay", Actor: "ann", Commands: []commands.Command{commands.Remove{Key: keys[5]}},
		}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	body := []byte(`{"reason": "bigger sorts", "commands": [{"do": "set", "key": "work_mem", "value": 8192, "expect": {"revision": 12}}]}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := commands.Parse("pay", "ann", body); err != nil {
			b.Fatal(err)
		}
	}
}
