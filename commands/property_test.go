package commands_test

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/holdfast-config/holdfast/commands"
	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

var (
	someSpaces = []events.Namespace{"a", "a.b", "a.b.c", "a.d"}
	someKeys   = []events.Key{"k", "l", "m.n"}
)

func anyChangeSet(t *rapid.T) commands.ChangeSet {
	return commands.ChangeSet{
		Namespace: rapid.SampledFrom(someSpaces).Draw(t, "namespace"),
		Actor:     "ann",
		Reason:    rapid.SampledFrom([]string{"", "because <of> \"it\"", "ü\n"}).Draw(t, "reason"),
		Expect:    commands.Expect{Revision: maybe[events.Revision](t)},
		Commands:  rapid.SliceOfN(rapid.Custom(anyCommand), 1, 4).Draw(t, "commands"),
	}
}

// maybe draws an expectation, seldom, so that most change sets get past it.
func maybe[N ~int64](t *rapid.T) *N {
	if rapid.IntRange(0, 5).Draw(t, "expect") > 0 {
		return nil
	}
	return new(N(rapid.Int64Range(0, 4).Draw(t, "expected")))
}

func anyCommand(t *rapid.T) commands.Command {
	key := rapid.SampledFrom(someKeys).Draw(t, "key")
	expect := commands.Expect{Revision: maybe[events.Revision](t), Position: maybe[events.Position](t)}
	value := rapid.SampledFrom([]events.Value{"1", "2", "30", `"90s"`, `"x"`, "null"})
	switch rapid.SampledFrom([]string{"create", "define", "define", "set", "set", "set", "unset", "remove", "tag", "untag"}).Draw(t, "do") {
	case "create":
		return commands.Create{Open: rapid.Bool().Draw(t, "open")}
	case "define":
		d := events.Definition{
			Kind:    rapid.SampledFrom([]events.Kind{events.Int, events.Duration, events.String, events.JSON}).Draw(t, "kind"),
			Default: rapid.SampledFrom([]events.Value{"", "1", `"1m30s"`}).Draw(t, "default"),
		}
		d.Sensitive = rapid.IntRange(0, 3).Draw(t, "sensitive") == 0
		if d.Kind == events.Int {
			d.Max = rapid.SampledFrom([]events.Value{"", "1", "10"}).Draw(t, "max")
		}
		if rapid.IntRange(0, 2).Draw(t, "requires") == 0 {
			d.Requires = []events.Key{rapid.SampledFrom(someKeys).Draw(t, "required")}
		}
		return commands.Define{Key: key, Definition: d, Expect: expect}
	case "set":
		return commands.Set{Key: key, Value: value.Draw(t, "value"), Expect: expect}
	case "unset":
		return commands.Unset{Key: key, Expect: expect}
	case "tag":
		return commands.Tag{Tag: "t", Revision: events.Revision(rapid.IntRange(0, 3).Draw(t, "revision"))}
	case "untag":
		return commands.Untag{Tag: "t"}
	}
	return commands.Remove{Key: key, Expect: expect}
}

// TestDecisionsKeepTheRules posts change sets one after the other and holds the whole tree against what judge promises,
// by looking at everything rather than at what was touched.
func TestDecisionsKeepTheRules(t *testing.T) {
	accepted, refusals := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		tree, log := config.Tree{}, []events.Recorded(nil)
		for range rapid.IntRange(1, 25).Draw(t, "change sets") {
			cs := anyChangeSet(t)
			before := tree
			evs, err := commands.Decide(tree, cs)
			if !tree.Equal(before) {
				t.Fatal("deciding changed the tree")
			}
			var refused *commands.Refused
			if err != nil && (!errors.As(err, &refused) || len(refused.Problems) == 0 || evs != nil) {
				t.Fatalf("refused with %v and %d events", err, len(evs))
			}
			if err != nil {
				refusals++
				continue
			}
			accepted++
			revision := events.Revision(1)
			if ns, ok := tree.Namespace(cs.Namespace); ok {
				revision = ns.Revision + 1
			}
			for _, ev := range evs {
				rec := events.Recorded{Position: tree.Position() + 1, Namespace: cs.Namespace, Revision: revision, Event: ev}
				tree, log = tree.Evolve(rec), append(log, rec)
			}
			checkRules(t, tree)
		}
		replayed := config.NewFold(config.Tree{})
		for _, rec := range log {
			stored, err := events.Encode(rec.Event)
			if err != nil {
				t.Fatal(err)
			}
			if rec.Event, err = events.Decode(stored); err != nil {
				t.Fatal(err)
			}
			replayed.Apply(rec)
		}
		if !replayed.Tree().Equal(tree) {
			t.Fatal("the replay of what was stored differs from the live tree")
		}
	})
	if accepted < refusals/20 || refusals < accepted/20 {
		t.Errorf("%d change sets were accepted and %d refused: the property sees one side only", accepted, refusals)
	}
}

func checkRules(t *rapid.T, tree config.Tree) {
	for ns := range tree.Namespaces() {
		for key, entry := range tree.Entries(ns.Name) {
			d, _, defined := tree.Definition(ns.Name, key)
			if !defined {
				continue
			}
			if v, err := d.Check(entry.Value); err != nil || v != entry.Value {
				t.Fatalf("%s/%s: effective %s: %s, %v", ns.Name, key, entry.Value, v, err)
			}
		}
		for key, d := range tree.Definitions(ns.Name) {
			for _, required := range d.Requires {
				if !tree.Known(ns.Name, required) {
					t.Fatalf("%s/%s requires %s, which is not there", ns.Name, key, required)
				}
			}
		}
		for key, own := range ns.Keys() {
			if _, _, defined := tree.Definition(ns.Name, key); own.Value == "" || defined || ns.Open {
				continue
			}
			inherits := false
			for above := range tree.Chain(ns.Name) {
				_, has := above.Key(key)
				inherits = inherits || above != ns && has
			}
			if !inherits {
				t.Fatalf("%s/%s has a value without a definition in a namespace that is not open", ns.Name, key)
			}
		}
	}
}

// TestDecidingAgainChangesNothing: what a change set of creates, defines and sets led to is what it asked for.
func TestDecidingAgainChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree := config.Tree{}
		for range rapid.IntRange(1, 10).Draw(t, "change sets") {
			cs := anyChangeSet(t)
			evs, err := commands.Decide(tree, cs)
			if err != nil {
				continue
			}
			for _, ev := range evs {
				tree = tree.Evolve(events.Recorded{Position: tree.Position() + 1, Namespace: cs.Namespace, Revision: 1, Event: ev})
			}
			if len(cs.Commands) != 1 || cs.Expect != (commands.Expect{}) {
				continue // a later command may undo an earlier one
			}
			if again, err := commands.Decide(tree, withoutExpect(cs)); err == nil && len(again) > 0 {
				t.Fatalf("%+v again: %+v", cs.Commands[0], again)
			}
		}
	})
}

func withoutExpect(cs commands.ChangeSet) commands.ChangeSet {
	cs.Commands = slices.Clone(cs.Commands)
	for i, cmd := range cs.Commands {
		switch cmd := cmd.(type) {
		case commands.Define:
			cmd.Expect = commands.Expect{}
			cs.Commands[i] = cmd
		case commands.Set:
			cmd.Expect = commands.Expect{}
			cs.Commands[i] = cmd
		}
	}
	return cs
}
