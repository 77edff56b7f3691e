package audit

import "golang.org/x/mod/sumdb/tlog"

// Tree computes the root of the tree over all leaves added so far, in memory that grows with the logarithm of their number.
// The zero Tree is empty.
type Tree struct {
	n    int64
	full []tlog.Hash // of the full subtrees that the leaves make, the largest first: one for each bit of n
}

// Add adds the next leaf.
func (t *Tree) Add(leaf tlog.Hash) {
	t.full = append(t.full, leaf)
	for n := t.n; n&1 == 1; n >>= 1 { // two of a size are one of the next
		last := len(t.full) - 1
		t.full[last-1] = tlog.NodeHash(t.full[last-1], t.full[last])
		t.full = t.full[:last]
	}
	t.n++
}

// Size is the number of leaves.
func (t *Tree) Size() int64 { return t.n }

// Sum returns size and root.
func (t *Tree) Sum() tlog.Tree {
	if t.n == 0 {
		root, _ := tlog.TreeHash(0, nil) // of nothing; it reads nothing
		return tlog.Tree{Hash: root}
	}
	root := t.full[len(t.full)-1]
	for i := len(t.full) - 2; i >= 0; i-- {
		root = tlog.NodeHash(t.full[i], root)
	}
	return tlog.Tree{N: t.n, Hash: root}
}
