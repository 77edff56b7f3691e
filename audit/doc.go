// Package audit makes the log a transparency log: it seals it, and proves that nothing of it was rewritten.
//
//	events 1 … n ──► leaves ──► tree of hashes (RFC 6962) ──► root ──► checkpoint: size, root, epoch, signed
//	                                  └── tiles of 256, stored ──► proofs of inclusion and consistency
//
// Position p is leaf p-1. A leaf is made of the stored row alone, by [AppendLeaf]; docs/audit.md gives the recipe to those who
// know no Go. The [Sealer] adds what is committed to the tree and signs a [Checkpoint], within a second; appending never
// waits for it. [Verify] reads a log, from a server or a file, recomputes everything, and compares: with the checkpoint that
// the log comes with, and with those that were kept from earlier.
//
// # What is promised
//
// Whoever keeps a checkpoint finds out if anything before it was changed, deleted, inserted, swapped or cut off, by
// anybody: also by the owner of the database, and by the holder of the key. Who keeps none finds out only that the log fits
// the signature it comes with, not that nothing else was ever signed: a sealer knows what it has signed since it started, and
// what [Sealer.Keep] kept. What was appended since the newest checkpoint (less than a second's worth) is not sealed yet.
// That what was posted is true, the tree does not prove.
//
// A restore from a backup loses events, and so breaks the promise; it is declared by an event of the log, [events.EpochBegan],
// and Verify tells of it instead of being silent.
package audit
