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
// position, whatever it reads from. An absent or incomplete view is never taken for deleted keys.
//
// With [Config.API] changes keep arriving while Redis is down, and with [Config.SnapshotDir] a service starts when nothing
// answers. A reader always says in [Reader.Status] what it reads from: it is [Live] while Redis confirms, about once a
// second, that nothing is missing, [Log] while the source of latest events does instead, and otherwise serves what it has
// and says that it is [Stale]. Redis does not confirm when it has not answered for half a second (noticed within 1.5 s,
// also if Redis hangs), when the view is absent or older than what is shown, and when the projector has not renewed its
// heartbeat for 5 s. A lost source is tried again after 50 ms, and then less often, at least every 2 s, never in step with
// other readers. docs/readers.md has the whole of what happens when.
//
// A program says what it can work with: a value that a key's declaration refuses keeps the last good one of that key; a
// change that a function given to [Reader.Prepare] refuses, or that a component of [Manage] can not be built from, keeps
// the whole snapshot as it was. Both are in [Reader.Status] and in the log.
//
//	[Key.Get], [Key.Lookup]              one value, and where it comes from
//	[Bind]                               a struct of values
//	[Reader.Snapshot], [Pin]             several reads that agree
//	[Reader.OnChange], [Key.OnChange]    be told of changes; [Reader.Changes]: loop over them
//	[Reader.Prepare]                     be asked before
//	[Manage]                             a component that is rebuilt
//	[Config.Share]                       several readers, one connection
//
// Package readmodeltest gives tests a reader without Redis.
package readmodel
