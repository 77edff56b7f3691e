package projections

import (
	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
)

// Forest folds the events of all namespaces, but for those about the log itself.
type Forest struct {
	folds map[events.Namespace]*config.Fold // by root
	last  *config.Fold                      // of the tree that the last event was in
	of    events.Namespace                  // that event's
}

// NewForest returns a forest without trees.
func NewForest() *Forest { return &Forest{folds: map[events.Namespace]*config.Fold{}} }

// Apply folds a row in, which must come after all before it. It fails with [*events.UnknownTypeError] on an event that this
// program does not know, and on one that is not of its type's form.
func (f *Forest) Apply(row eventlog.Row) error {
	ev, err := row.Recorded()
	if err != nil {
		return err
	}
	if ev.Namespace == events.LogNamespace {
		return nil
	}
	if ev.Namespace != f.of {
		root := ev.Namespace.Root()
		fold, ok := f.folds[root]
		if !ok {
			fold = config.NewFold(config.Tree{})
			f.folds[root] = fold
		}
		f.last, f.of = fold, ev.Namespace
	}
	f.last.Apply(ev)
	return nil
}

// Trees returns the trees by their roots.
func (f *Forest) Trees() map[events.Namespace]config.Tree {
	trees := make(map[events.Namespace]config.Tree, len(f.folds))
	for root, fold := range f.folds {
		trees[root] = fold.Tree()
	}
	return trees
}
