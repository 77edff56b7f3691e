package daemon

import "runtime"

// ballastBytes is address space, not memory: pages that nobody touches are never there.
const ballastBytes = 64 << 20

// SpareCollections makes the garbage collector wait for some 130 MiB of heap rather than 4 MiB, until the returned
// function is called. A small store has a heap of a few megabytes and makes a few kilobytes of garbage a request: it
// would collect dozens of times a second, at a third of its speed. It costs at most as much memory as the ballast is
// large; with a large store it makes little difference.
func SpareCollections() (end func()) {
	ballast := make([]byte, ballastBytes)
	return func() { runtime.KeepAlive(ballast) }
}
