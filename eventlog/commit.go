package eventlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast-config/holdfast/events"
)

// appendBatch moves the head if it is still where the batch was decided, and inserts the events and receipts: all in one
// statement, so that it is one round trip. No row comes back if the head is elsewhere; nothing is inserted then.
const appendBatch = `
	WITH moved AS (
	    UPDATE head
	    SET position = position + $3,
	        at = CASE WHEN $3 > 0 THEN greatest(at, clock_timestamp()) ELSE at END
	    WHERE position = $1 AND epoch = $2::uuid
	    RETURNING position, at
	), appended AS (
	    INSERT INTO events (position, namespace, revision, type, key, data, actor, reason, at)
	    SELECT $1 + e.n, e.namespace, e.revision, e.type, nullif(e.key, ''), e.data::json, e.actor, e.reason, moved.at
	    FROM moved, unnest($4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[])
	        WITH ORDINALITY AS e (namespace, revision, type, key, data, actor, reason, n)
	), kept AS (
	    INSERT INTO receipts (principal, key, hash, namespace, revision, position, events, at)
	    SELECT r.principal, r.key, r.hash, r.namespace, r.revision, r.position, r.events, moved.at
	    FROM moved, unnest($11::text[], $12::text[], $13::bytea[], $14::text[], $15::bigint[], $16::bigint[], $17::bigint[])
	        AS r (principal, key, hash, namespace, revision, position, events)
	)
	SELECT position, at, CASE WHEN $3 > 0 THEN ` + hint + ` END
	FROM moved`

// appendOne is appendBatch for a single event without a receipt, which most batches are unless many write at once: it takes
// the server a sixth less time.
const appendOne = `
	WITH moved AS (
	    UPDATE head
	    SET position = position + 1, at = greatest(at, clock_timestamp())
	    WHERE position = $1 AND epoch = $2::uuid
	    RETURNING position, at
	)
	INSERT INTO events (position, namespace, revision, type, key, data, actor, reason, at)
	SELECT position, $3, $4, $5, nullif($6, ''), $7::json, $8, $9, at
	FROM moved
	RETURNING position, at, ` + hint

// statements are prepared when the appender connects, so that what fails later is the execution, and it alone.
var statements = map[string]string{
	"append":   appendBatch,
	"one":      appendOne,
	"head":     selectHead,
	"receipts": selectReceipts,
	"after":    selectAfter,
	"begin":    `BEGIN ISOLATION LEVEL READ COMMITTED`,
	"commit":   `COMMIT`,
	"lock": selectHead + `
	FOR UPDATE`,
	"since": `
	SELECT ` + columns + `
	FROM events
	WHERE position > $2 AND position <= $3
	  AND (namespace = $1 OR namespace >= $1 || '.' AND namespace < $1 || '/')
	ORDER BY position`,
}

// decideNext adds postings whose trees are at hand to the next batch.
func (a *appender) decideNext(ps []*posting) {
	if a.next == nil {
		a.next = a.newBatch()
	}
	full, early := a.decide(a.next, ps, nil)
	a.requeue(full)
	a.held = append(a.held, early...)
}

// outcome is what became of a batch that was sent.
type outcome struct {
	end   Head
	moved bool // the head was where the batch was decided: if err is nil, it is stored
	err   error
}

// send begins to store the next batch, if the connection is free.
func (a *appender) send() {
	if a.storing != nil || a.next == nil {
		return
	}
	b := a.next
	a.next = nil
	if b.refusesRetries() {
		if b = a.decideRetries(b); b == nil {
			a.release()
			return
		}
	}
	a.storing = b
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), a.timeout)
		defer cancel()
		a.stored <- a.commit(ctx, b)
	}()
}

// finish answers the batch that was being stored, or has it decided anew.
func (a *appender) finish(o outcome) {
	b := a.storing
	a.storing = nil
	if o.err == nil && o.moved {
		a.settle(b, o.end)
	} else {
		a.void()
		if o.err == nil || violates(o.err, "receipts_key") {
			a.appendLocked(b.postings())
		} else {
			a.broken(b.postings(), b, o.err, judge(o.err, o.moved))
		}
	}
	a.release()
	a.trees.shrink(a.next)
}

// release puts back what waited for the outcome of a batch.
func (a *appender) release() {
	a.requeue(a.held)
	a.held = nil
}

// void puts back what was decided on top of a batch that is not stored as it was sent.
func (a *appender) void() {
	if a.next != nil {
		a.requeue(a.next.postings())
		a.next = nil
	}
}

// appendNow is decideNext, send and finish at once, for when nothing is under way.
func (a *appender) appendNow(ps []*posting) {
	a.decideNext(ps)
	if a.send(); a.storing != nil {
		a.finish(<-a.stored)
	}
}

// decideRetries decides b anew, now that the connection is free to look for receipts. It returns nil if it could not.
func (a *appender) decideRetries(b *batch) *batch {
	ctx, cancel := context.WithTimeout(context.Background(), a.timeout)
	defer cancel()
	found, err := a.lookUp(ctx, b.postings())
	if err != nil {
		a.broken(b.postings(), nil, err, judgeRead(err))
		return nil
	}
	again := a.newBatch()
	full, early := a.decide(again, b.postings(), found)
	a.requeue(append(full, early...))
	return again
}

// refusesRetries says whether something was refused that may be the retry of what was accepted before. What is accepted
// meets its receipt when it is inserted; what is refused has to look.
func (b *batch) refusesRetries() bool {
	for _, d := range b.decisions {
		if d.err != nil && d.Receipt != nil {
			return true
		}
	}
	return false
}

func (a *appender) lookUp(ctx context.Context, ps []*posting) (receipts, error) {
	rows, err := a.conn.Query(ctx, "receipts", wanted(ps)...)
	if err != nil {
		return nil, err
	}
	return scanReceipts(rows)
}

// commit stores the batch if the head is still where it was decided. If there is nothing to store, it only asks: what
// changes nothing, and what is refused, is decided against the present too.
func (a *appender) commit(ctx context.Context, b *batch) (o outcome) {
	if !b.stores() {
		o.end, o.err = scanHead(a.conn.QueryRow(ctx, "head"))
		o.moved = o.err == nil && o.end.Epoch == a.head.Epoch && o.end.Position == b.base
		return o
	}
	o.end.Epoch = a.head.Epoch
	name, args := "append", b.arguments
	if len(b.recorded) == 1 && len(b.kept.keys) == 0 {
		name, args = "one", b.argumentsOfOne
	}
	rows, err := a.conn.Query(ctx, name, args(a.head.Epoch)...)
	if err != nil {
		o.err = err
		return o
	}
	_, o.err = pgx.ForEachRow(rows, []any{&o.end.Position, &o.end.Time, nil}, func() error {
		o.moved = true
		return nil
	})
	o.end.Time = o.end.Time.UTC()
	return o
}

// arguments are those of appendBatch.
func (b *batch) arguments(epoch string) []any {
	r, k := &b.rows, &b.kept
	return []any{
		b.base, epoch, len(b.recorded),
		r.namespaces, r.revisions, r.types, r.keys, r.data, r.actors, r.reasons,
		k.principals, k.keys, k.hashes, k.namespaces, k.revisions, k.positions, k.events,
	}
}

// argumentsOfOne are those of appendOne.
func (b *batch) argumentsOfOne(epoch string) []any {
	r := &b.rows
	return []any{b.base, epoch, r.namespaces[0], r.revisions[0], r.types[0], r.keys[0], r.data[0], r.actors[0], r.reasons[0]}
}

// settle folds what is stored into the trees and answers.
func (a *appender) settle(b *batch, end Head) {
	a.used = time.Now()
	a.head = end
	for i := range b.recorded {
		b.recorded[i].Time = end.Time
	}
	a.trees.evolve(b.recorded)
	if len(b.recorded) > 0 {
		a.log.feed.publish(b.recorded, end)
	}
	for _, d := range b.decisions {
		switch {
		case d.decide == nil:
			d.tree = a.trees.get(d.Namespace().Root())
		case d.err == nil && !d.Replayed:
			d.Time = end.Time
		}
		a.reply(d.posting, d.answer)
	}
}

// appendLocked is append for when another process may have written: it locks the head row, reads what is new, decides
// and stores. Nobody can come between, so that it is done after one try.
func (a *appender) appendLocked(ps []*posting) {
	ctx, cancel := context.WithTimeout(context.Background(), a.timeout)
	defer cancel()
	found, err := a.lock(ctx, ps)
	if err != nil {
		a.broken(ps, nil, err, a.rollback(ctx, judgeRead(err)))
		return
	}
	b := a.newBatch()
	full, early := a.decide(b, ps, found)
	a.requeue(append(full, early...))
	end, err := a.commitLocked(ctx, b)
	if err != nil {
		a.broken(b.postings(), b, err, a.rollback(ctx, judge(err, true)))
		return
	}
	a.settle(b, end)
}

// errRestart says that what the appender holds is void: the log has another epoch, or is too far ahead to be caught up with.
var errRestart = errors.New("the log is another, or far ahead: load it anew")

// Limits on what is read while the head row is locked, and on catching up before it is cheaper to load anew.
const (
	maxLockedRead = 2_000
	maxCatchUp    = 100_000
)

// lock begins a transaction, locks the head row, brings the trees up to it and looks up the receipts. What is far behind
// is brought nearer without the lock first.
func (a *appender) lock(ctx context.Context, ps []*posting) (receipts, error) {
	for {
		var (
			end   Head
			evs   []events.Recorded
			found receipts
		)
		// The second statement sees what was committed before the first got its lock: READ COMMITTED.
		var pipeline pgx.Batch
		pipeline.Queue("begin")
		pipeline.Queue("lock").QueryRow(func(row pgx.Row) (err error) {
			end, err = scanHead(row)
			return err
		})
		pipeline.Queue("after", a.head.Position, endOfLog, maxLockedRead).Query(func(rows pgx.Rows) (err error) {
			evs, _, err = collectPage(rows, maxLockedRead)
			return err
		})
		pipeline.Queue("receipts", wanted(ps)...).Query(func(rows pgx.Rows) (err error) {
			found, err = scanReceipts(rows)
			return err
		})
		if err := a.conn.SendBatch(ctx, &pipeline).Close(); err != nil {
			return nil, err
		}
		if end.Epoch != a.head.Epoch || end.Position < a.head.Position || end.Position-a.head.Position > maxCatchUp {
			return nil, errRestart
		}
		a.contended = end.Position > a.head.Position
		a.advance(evs)
		if a.head.Position == end.Position {
			return found, nil
		}
		if _, err := a.conn.Exec(ctx, "ROLLBACK"); err != nil {
			return nil, err
		}
		if err := a.catchUp(ctx); err != nil {
			return nil, err
		}
	}
}

// catchUp reads, without a lock, until little is new.
func (a *appender) catchUp(ctx context.Context) error {
	for {
		rows, err := a.conn.Query(ctx, "after", a.head.Position, endOfLog, maxLockedRead)
		if err != nil {
			return err
		}
		evs, more, err := collectPage(rows, maxLockedRead)
		if err != nil {
			return err
		}
		a.advance(evs)
		if !more {
			return nil
		}
	}
}

// advance folds committed events into the trees and moves the head that they are as of.
func (a *appender) advance(evs []events.Recorded) {
	a.trees.evolve(evs)
	if len(evs) > 0 {
		last := evs[len(evs)-1]
		a.head.Position, a.head.Time = last.Position, last.Time
	}
}

// commitLocked ends the transaction.
func (a *appender) commitLocked(ctx context.Context, b *batch) (end Head, err error) {
	end = a.head
	var pipeline pgx.Batch
	if b.stores() {
		pipeline.Queue("append", b.arguments(a.head.Epoch)...).QueryRow(func(row pgx.Row) error {
			return row.Scan(&end.Position, &end.Time, nil)
		})
	}
	pipeline.Queue("commit")
	err = a.conn.SendBatch(ctx, &pipeline).Close()
	end.Time = end.Time.UTC()
	return end, err
}

// rollback ends a transaction that failed.
func (a *appender) rollback(ctx context.Context, v verdict) verdict {
	if v != rejected {
		return v // with the connection
	}
	if _, err := a.conn.Exec(ctx, "ROLLBACK"); err != nil {
		return lost
	}
	return v
}

// judgeRead is judge for what comes before anything is stored.
func judgeRead(err error) verdict {
	if judge(err, false) == rejected {
		return rejected
	}
	return lost
}

// broken answers postings that could not be stored, or puts them back: once, if it is certain that nothing was stored.
// B has those that were sent to be stored; nil: none were.
func (a *appender) broken(ps []*posting, b *batch, err error, v verdict) {
	if v == rejected {
		a.rejected(ps, err)
		return
	}
	if v == unknown {
		a.log.feed.publish(nil, a.head)
	}
	a.logger.Warn("append: the connection was given up", "change_sets", len(ps), "outcome_known", v != unknown, "err", err)
	a.disconnect()
	sent := map[*posting]bool{}
	if b != nil && v == unknown {
		for _, d := range b.decisions {
			sent[d.posting] = d.stores
		}
	}
	var again []*posting
	for _, p := range ps {
		switch {
		case sent[p]:
			a.reply(p, answer{err: fmt.Errorf("%w: %w", ErrUnknown, err)})
		case p.again && !errors.Is(err, errRestart):
			a.reply(p, answer{err: unavailable(err)})
		default:
			p.again = true
			again = append(again, p)
		}
	}
	a.requeue(again)
}

// rejected answers postings that the server refused to store. If it is the content that is at fault, the others of the
// batch must not suffer: halves are tried, down to the one that is.
func (a *appender) rejected(ps []*posting, err error) {
	pg, _ := errors.AsType[*pgconn.PgError](err)
	switch c := class(pg); {
	case c == classData || c == classConstraint || c == classLimit:
		if len(ps) > 1 {
			for _, half := range [][]*posting{ps[:len(ps)/2], ps[len(ps)/2:]} {
				if a.conn == nil { // the first half lost it
					a.requeue(half)
				} else {
					a.appendNow(half)
				}
			}
			return
		}
	case pg.Code == readOnly:
		a.disconnect()
	}
	a.fail(ps, unavailable(err))
}
