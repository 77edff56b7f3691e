package audit_test

import (
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/holdfast-config/holdfast/audit"
)

// The root is that of tlog, for every size.
func TestTree(t *testing.T) {
	var tree audit.Tree
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, at := range indexes {
			hashes[i] = stored[at]
		}
		return hashes, nil
	})
	for n := range int64(700) {
		want, err := tlog.TreeHash(n, reader)
		if err != nil {
			t.Fatal(err)
		}
		if got := tree.Sum(); got != (tlog.Tree{N: n, Hash: want}) || tree.Size() != n {
			t.Fatalf("size %d: got %v, want %v", n, got, want)
		}
		leaf := tlog.RecordHash([]byte{byte(n), byte(n >> 8)})
		hashes, err := tlog.StoredHashesForRecordHash(n, leaf, reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hashes...)
		tree.Add(leaf)
	}
}
