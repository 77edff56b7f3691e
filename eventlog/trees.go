package eventlog

import (
	"math"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

// trees are the appender's folded trees by root. They may hold more than the limit while a batch is decided, so that none
// of its trees is lost under it; shrink is called after.
type trees struct {
	limit  int // keys
	weight int
	byRoot *simplelru.LRU[events.Namespace, config.Tree]
}

func newTrees(limit int) *trees {
	byRoot, _ := simplelru.NewLRU[events.Namespace, config.Tree](math.MaxInt, nil) // fails on a size below 1 only
	return &trees{limit: limit, byRoot: byRoot}
}

// weigh counts an empty tree as a key: namespaces that are asked for and do not exist must not fill the memory either.
func weigh(t config.Tree) int { return 1 + t.Len() }

func (ts *trees) has(root events.Namespace) bool { return ts.byRoot.Contains(root) }

// get returns the tree of a root that is there.
func (ts *trees) get(root events.Namespace) config.Tree {
	t, _ := ts.byRoot.Get(root)
	return t
}

func (ts *trees) put(root events.Namespace, t config.Tree) {
	if old, ok := ts.byRoot.Peek(root); ok {
		ts.weight -= weigh(old)
	}
	ts.weight += weigh(t)
	ts.byRoot.Add(root, t)
}

// evolve folds events, which may be of any roots, into the trees that are there.
func (ts *trees) evolve(evs []events.Recorded) {
	folds := map[events.Namespace]*config.Fold{}
	for _, ev := range evs {
		root := ev.Namespace.Root()
		fold, ok := folds[root]
		if !ok {
			if t, ok := ts.byRoot.Peek(root); ok {
				fold = config.NewFold(t)
			}
			folds[root] = fold
		}
		if fold != nil {
			fold.Apply(ev)
		}
	}
	for root, fold := range folds {
		if fold != nil {
			ts.put(root, fold.Tree())
		}
	}
}

// shrink drops the least recently used trees until the others are within the limit. It keeps those that next was decided
// on, and the last, whatever its size.
func (ts *trees) shrink(next *batch) {
	for ts.weight > ts.limit && ts.byRoot.Len() > 1 {
		root, t, _ := ts.byRoot.GetOldest()
		if next.uses(root) {
			return
		}
		ts.byRoot.Remove(root)
		ts.weight -= weigh(t)
	}
}

func (ts *trees) clear() {
	ts.byRoot.Purge()
	ts.weight = 0
}
