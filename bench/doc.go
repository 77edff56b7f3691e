// Command bench measures Holdfast against limits and peers in the same run, on the same machine, over the same disk:
// pgbench (what Postgres itself inserts), etcd (put, put → watch, its JSON gateway). Figures are medians of several
// rounds in which the sides take turns; the ratio is what counts, since absolute times mean nothing on shared machines.
//
// It is a module of its own, so that the peers' clients stay out of Holdfast's dependencies. `make bench` runs it.
//
//	bench [-rounds 3] [-seconds 3] [-events 1000000] [part …]
//
// Servers run with their default durability: fsync and synchronous_commit on in Postgres, fsync on in etcd.
package main
