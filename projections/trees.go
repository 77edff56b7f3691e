package projections

import (
	"math"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

// trees keeps the folded trees that were used last, by their roots, up to a number of keys; at least one.
type trees struct {
	max  int
	keys int
	lru  *simplelru.LRU[events.Namespace, config.Tree]
}

func newTrees(max int) *trees {
	lru, err := simplelru.NewLRU[events.Namespace, config.Tree](math.MaxInt, nil) // bounded by put
	if err != nil {
		panic(err) // only a size below 1 is refused
	}
	return &trees{max: max, lru: lru}
}

func (t *trees) get(root events.Namespace) (config.Tree, bool) { return t.lru.Get(root) }

func (t *trees) put(root events.Namespace, tree config.Tree) {
	if old, ok := t.lru.Peek(root); ok {
		t.keys -= cost(old)
	}
	t.lru.Add(root, tree)
	for t.keys += cost(tree); t.keys > t.max && t.lru.Len() > 1; {
		_, old, _ := t.lru.RemoveOldest()
		t.keys -= cost(old)
	}
}

// drop forgets a tree.
func (t *trees) drop(root events.Namespace) {
	if old, ok := t.lru.Peek(root); ok {
		t.lru.Remove(root)
		t.keys -= cost(old)
	}
}

// cost counts one for the tree itself, since a tree may be without keys.
func cost(tree config.Tree) int { return 1 + tree.Len() }
