package config

import (
	"cmp"
	"slices"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/pmap"
)

// Fold makes a tree of many events. It copies what it changes once, not once an event, and leaves the trees it has
// handed out, and the one it started from, as they are. It is not safe for concurrent use.
type Fold struct {
	tree Tree
	open map[events.Namespace]*folding // changed since the last Tree
	last *folding                      // of open: a change set stays in one namespace
}

// folding is a namespace in the making.
type folding struct {
	space Namespace // keys is out of date
	keys  *pmap.Editor[events.Key, Key]
}

// NewFold returns a fold that goes on from t.
func NewFold(t Tree) *Fold { return &Fold{tree: t} }

// Apply folds ev in, which must come after all before it.
//
// The state of a key depends on its last definition or removal and on its last set, unset or removal, and nothing else,
// so that the events in between need not be read to load a tree.
func (f *Fold) Apply(ev events.Recorded) {
	ns := f.folding(ev.Namespace)
	ns.space.Revision, ns.space.Position = ev.Revision, ev.Position
	f.tree.position = ev.Position
	switch e := ev.Event.(type) {
	case events.NamespaceCreated:
		ns.space.CreatedAt = ev
		ns.space.Open, ns.space.Description, ns.space.Labels = e.Open, e.Description, e.Labels
	case events.NamespaceTagged:
		ns.space.tags = ns.space.tags.With(e.Tag, cmp.Or(e.Revision, ev.Revision))
	case events.NamespaceUntagged:
		ns.space.tags = ns.space.tags.Without(e.Tag)
	case events.KeyDefined:
		own, _ := ns.keys.Get(e.Key)
		own.Definition = &Definition{Definition: e.Definition, From: ev.Namespace, Revision: ev.Revision, Position: ev.Position}
		ns.keys.Set(e.Key, own)
	case events.KeyRemoved:
		ns.keys.Delete(e.Key)
	case events.ValueSet:
		own, _ := ns.keys.Get(e.Key)
		own.Value, own.SetRevision, own.SetPosition = e.Value, ev.Revision, ev.Position
		ns.keys.Set(e.Key, own)
	case events.ValueUnset:
		own, ok := ns.keys.Get(e.Key)
		switch {
		case own.Definition != nil:
			ns.keys.Set(e.Key, Key{Definition: own.Definition})
		case ok:
			ns.keys.Delete(e.Key)
		}
	}
}

// folding returns the namespace in the making, which an event about it brings into being.
func (f *Fold) folding(name events.Namespace) *folding {
	if f.last != nil && f.last.space.Name == name {
		return f.last
	}
	ns, ok := f.open[name]
	if !ok {
		ns = &folding{space: Namespace{Name: name}}
		if present, ok := f.tree.spaces.Get(name); ok {
			ns.space = *present
		}
		ns.keys = ns.space.keys.Edit()
		if f.open == nil {
			f.open = make(map[events.Namespace]*folding, 1)
		}
		f.open[name] = ns
	}
	f.last = ns
	return ns
}

// Tree returns the tree as it is now. The fold may go on; the tree will not change.
func (f *Fold) Tree() Tree {
	if len(f.open) == 0 {
		return f.tree
	}
	spaces := f.tree.spaces.Edit()
	var created []events.Namespace
	for name, ns := range f.open {
		space := ns.space
		if _, ok := spaces.Get(name); !ok {
			created = append(created, name)
		}
		f.tree.keys += ns.keys.Len() - space.keys.Len()
		space.keys = ns.keys.Map()
		spaces.Set(name, &space)
	}
	if created != nil {
		f.tree.names = slices.Concat(f.tree.names, created)
		slices.Sort(f.tree.names)
	}
	f.tree.spaces = spaces.Map()
	f.open, f.last = nil, nil
	return f.tree
}
