// Package eventlog is the log of events in Postgres: the only truth of Holdfast.
//
// # Order
//
// Events are rows that are inserted and never updated or deleted. An event's position comes from the one head row, moved
// in the appending transaction: positions are 1, 2, 3, … without a gap, and in the order of commits, so that a reader of
// "position > n ORDER BY position" misses nothing. Times never decrease as positions grow.
//
// # Appending
//
// [Log.Append] is handed a decision as a function of the state. All change sets that wait are decided together, each
// against the ones before it, and appended in one transaction (group commit). It moves the head row only if the head is
// still where the state in memory ends; if another process was first, the head row is locked, what is new is read, every
// change set is decided again, and appended: each is decided against everything before it, and none starves. A change
// set is accepted or refused by itself; the others of its batch do not notice.
//
// # What survives
//
// When Append returns an [Appended], the events are committed and survive a crash of any process. When it returns
// [ErrUnknown], the connection broke before the answer to COMMIT arrived: the events may be there or not. Posting again
// with the same idempotency key and body answers what happened: the receipt is stored in the same transaction as the
// events. Every other error means that nothing was stored.
//
// # Reading
//
// [Log.Tail] delivers whole change sets in order, at least once, from any position. NOTIFY is a hint to look at once, sent
// if another process wants it; Tail polls in any case. Reads go to the primary.
//
// The application's database role can insert and read events and not update or delete them.
package eventlog
