package config

import (
	"slices"

	"github.com/holdfast-config/holdfast/events"
)

// Change is what happened to one key of a view. A nil Old or New means that there was, or is, no effective value.
type Change struct {
	Key events.Key
	Old *Entry
	New *Entry
}

// ViewChange is what a change set does to the view of one namespace.
type ViewChange struct {
	Namespace events.Namespace
	Revision  events.Revision // Namespace's own, after the change set
	Changes   []Change        // sorted by key
}

// Changes lists what the change set evs, which leads from before to after, does to each view: first that of its own
// namespace, always, even if no effective value changes; then those of the namespaces below in which one does. A key has
// changed when any field of its entry has.
//
// It looks at the keys that evs are about, and at all keys where a namespace has come into being: those below it, which
// began to inherit, included.
func Changes(before, after Tree, evs []events.Recorded) []ViewChange {
	if len(evs) == 0 {
		return nil
	}
	ns := evs[0].Namespace
	keys, created := touched(evs)
	if space, ok := after.Namespace(ns); ok {
		first := ViewChange{ns, space.Revision, compare(before, after, ns, keys, created)}
		all := []ViewChange{first}
		for below := range after.Below(ns) {
			if changes := compare(before, after, below.Name, keys, created); len(changes) > 0 {
				all = append(all, ViewChange{below.Name, below.Revision, changes})
			}
		}
		return all
	}
	return nil
}

// ChangesIn is [Changes] for the view of ns alone; false: the change set does not touch it.
func ChangesIn(before, after Tree, evs []events.Recorded, ns events.Namespace) (ViewChange, bool) {
	space, ok := after.Namespace(ns)
	if !ok || len(evs) == 0 {
		return ViewChange{}, false
	}
	own, above := evs[0].Namespace == ns, false
	for from := range after.Chain(ns) {
		above = above || from.Name == evs[0].Namespace
	}
	if !above {
		return ViewChange{}, false
	}
	keys, created := touched(evs)
	changes := compare(before, after, ns, keys, created)
	return ViewChange{ns, space.Revision, changes}, own || len(changes) > 0
}

// touched returns the keys that evs are about, sorted, and whether one of evs creates the namespace. The other events about
// the namespace itself change no view.
func touched(evs []events.Recorded) (keys []events.Key, created bool) {
	for _, ev := range evs {
		if _, ok := ev.Event.(events.NamespaceCreated); ok {
			created = true
		} else if key := events.KeyOf(ev.Event); key != "" {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys), created
}

// compare lists the differences in the view of ns at keys, or at every key.
func compare(before, after Tree, ns events.Namespace, keys []events.Key, every bool) (changes []Change) {
	was, is := before.chain(ns), after.chain(ns)
	if every {
		keys = is.keys() // creating a namespace takes no key away; keys removed after it were not there before
	}
	for _, key := range keys {
		old, had := was.find(key).entry()
		now, has := is.find(key).entry()
		if had == has && old == now {
			continue
		}
		change := Change{Key: key}
		if had {
			change.Old = new(old)
		}
		if has {
			change.New = new(now)
		}
		changes = append(changes, change)
	}
	return changes
}
