// Package readmodel is what services import: the settings of a namespace, live, in the service's own memory.
//
//	var MaxConns = readmodel.Int("db.max_conns", 20)
//
//	r, err := readmodel.Open(ctx, "payments.prod", readmodel.Config{Redis: "redis://localhost:6379"})
//	defer r.Close()
//	n := MaxConns.Get(r) // no lock, no network, no allocation
//
// A [Reader] loads the namespace's view and follows its stream from that very position. Each change set becomes visible
// at once and whole: a [Snapshot] is immutable and belongs to one position. Within an epoch a reader never goes back in
// position, whatever it reads from. When the source is gone it serves what it has, says so in [Reader.Status], and comes
// back by itself. An absent or incomplete view is never taken for deleted keys.
//
// A reader is live while its source confirms, about once a second, that nothing is missing. With Redis it calls itself
// stale when Redis has not answered for half a second (noticed within 1.5 s, also if Redis hangs), when the view is
// absent or older than what is shown, and when the projector has not renewed its heartbeat for 5 s. It tries again after
// 50 ms, and then less often, at least every 2 s, never in step with other readers.
package readmodel
