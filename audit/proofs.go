package audit

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/holdfast-config/holdfast/events"
)

// Hash is one of the tree.
type Hash = tlog.Hash

// Inclusion proves that an event is in the log: from the hash of its leaf and the proof follows the root (RFC 6962, section
// 2.1.1).
type Inclusion struct {
	Position events.Position  `json:"position"`
	Size     events.Position  `json:"size"` // of the tree that it is proved to be in
	Leaf     tlog.Hash        `json:"leaf"`
	Proof    tlog.RecordProof `json:"proof"`
}

// Consistency proves that the log of the size to begins with all of the log of the size from (RFC 6962, section 2.1.2).
type Consistency struct {
	From  events.Position `json:"from"`
	To    events.Position `json:"to"`
	Proof tlog.TreeProof  `json:"proof"`
}

// ErrNotSealed: a proof was asked for that would need events which are not sealed.
var ErrNotSealed = errors.New("not sealed")

// ProveInclusion proves that the log whose newest sealed tree is given had the event at a position when it had a size; 0:
// the newest.
func ProveInclusion(ctx context.Context, tiles Tiles, newest tlog.Tree, position, size events.Position) (Inclusion, error) {
	if size == 0 {
		size = events.Position(newest.N)
	}
	if position < 1 || position > size || int64(size) > newest.N {
		return Inclusion{}, fmt.Errorf("%w: position %d in the first %d events of %d", ErrNotSealed, position, size, newest.N)
	}
	n, hashes := int64(position)-1, hashesOf(ctx, tiles, newest)
	leaf, err := hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, n)})
	if err != nil {
		return Inclusion{}, err
	}
	proof, err := tlog.ProveRecord(int64(size), n, hashes)
	return Inclusion{position, size, leaf[0], proof}, err
}

// ProveConsistency proves that the log of one size begins with the log of another; to is 0: the newest sealed.
func ProveConsistency(ctx context.Context, tiles Tiles, newest tlog.Tree, from, to events.Position) (Consistency, error) {
	if to == 0 {
		to = events.Position(newest.N)
	}
	if from < 1 || from > to || int64(to) > newest.N {
		return Consistency{}, fmt.Errorf("%w: %d events in the first %d of %d", ErrNotSealed, from, to, newest.N)
	}
	proof, err := tlog.ProveTree(int64(to), int64(from), hashesOf(ctx, tiles, newest))
	return Consistency{from, to, proof}, err
}

// checkExtends checks, from the sealed hashes, that a tree begins with another.
func checkExtends(ctx context.Context, tiles Tiles, tree, begins tlog.Tree) error {
	proof, err := tlog.ProveTree(tree.N, begins.N, hashesOf(ctx, tiles, tree))
	if err != nil {
		return err
	}
	return tlog.CheckTree(proof, tree.N, tree.Hash, begins.N, begins.Hash)
}
