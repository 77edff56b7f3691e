package eventlog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast-config/holdfast/events"
)

// maxPage is how many events Tail reads at once. It is more than one change set has, so that a page holds a whole one.
const maxPage = 2 * maxEvents

// Tail calls fn with the events after the given position, as they come, in order and in whole change sets, until ctx
// ends or fn fails; it returns that error. It reconnects by itself. fn is called with no events when Tail has looked and
// there is nothing new (at least every Poll), so that the caller knows it is up to date with head.
//
// It returns [ErrBeyondHead] if the log ends before the given position, [ErrEpochChanged] if its epoch changes while Tail
// reads, and, after all events before it, the error of an event that can not be decoded, such as [*events.UnknownTypeError].
func (l *Log) Tail(ctx context.Context, after events.Position, fn func(evs []events.Recorded, head Head) error) error {
	t := &tail{log: l, fn: fn}
	t.advance(after)
	wait := backoff{}
	for {
		err := t.follow(ctx, &wait)
		var stop *stopped
		switch {
		case errors.As(err, &stop):
			return stop.err
		case ctx.Err() != nil:
			return ctx.Err()
		}
		l.cfg.Logger.Warn("tail: reconnecting", "after", t.after, "err", err)
		if err := wait.pause(ctx); err != nil {
			return err
		}
	}
}

// tail is a Tail under way.
type tail struct {
	log   *Log
	after events.Position
	at    atomic.Int64 // after, for the goroutine that waits for hints
	epoch string       // of the first read
	wants bool         // the connection has the lock of those who want hints
	asked time.Time    // when it was last considered whether it should
	fed   bool         // this process's appender has handed something over since
	fn    func([]events.Recorded, Head) error
}

// stopped is an error that no new connection mends.
type stopped struct{ err error }

func (s *stopped) Error() string { return s.err.Error() }

// planOnce has the server make the plan of what Tail reads once. In a large log it would weigh the statistics each time
// otherwise, which takes longer than to read what is new.
const planOnce = `SET plan_cache_mode = force_generic_plan`

// follow tails over one connection. It listens before it reads: what is committed in between is then hinted at.
func (t *tail) follow(ctx context.Context, wait *backoff) error {
	conn, err := t.log.connect(ctx)
	if err != nil {
		return err
	}
	defer disconnect(conn)
	handed := t.log.feed.join()
	defer t.log.feed.leave(handed)
	if err := t.within(ctx, func(ctx context.Context) error {
		_, err := conn.Exec(ctx, planOnce+"; LISTEN "+channel)
		return err
	}); err != nil {
		return err
	}
	t.wants, t.fed, t.asked = false, false, time.Time{}
	for {
		if err := t.want(ctx, conn); err != nil {
			return err
		}
		full, err := t.look(ctx, conn)
		if err != nil {
			return err
		}
		wait.reset()
		if full {
			continue
		}
		if err := t.await(ctx, conn, handed); err != nil {
			return err
		}
	}
}

func (t *tail) within(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, t.log.cfg.Timeout)
	defer cancel()
	return do(ctx)
}

// want considers, once in a poll, whether hints are wanted over conn, or this process's appender wants them over its own
// connection. That it hands over what it appends shows that this connection lives.
func (t *tail) want(ctx context.Context, conn *pgx.Conn) error {
	if time.Since(t.asked) < t.log.cfg.Poll {
		return nil
	}
	want := !t.fed || !t.log.feed.hinted.Load()
	t.fed, t.asked = false, time.Now()
	if want == t.wants {
		return nil
	}
	return t.within(ctx, func(ctx context.Context) (err error) {
		if want {
			t.wants, err = wantHints(ctx, conn)
			return err
		}
		t.wants = false
		return leaveHints(ctx, conn)
	})
}

// look reads a page and hands it on. Full says that there is more.
func (t *tail) look(ctx context.Context, conn *pgx.Conn) (full bool, err error) {
	var (
		head Head
		evs  []events.Recorded
		bad  *undecodable
	)
	err = t.within(ctx, func(ctx context.Context) error {
		var pipeline pgx.Batch
		pipeline.Queue(selectHead).QueryRow(func(row pgx.Row) (err error) {
			head, err = scanHead(row)
			return err
		})
		pipeline.Queue(selectAfter, t.after, endOfLog, maxPage).Query(func(rows pgx.Rows) (err error) {
			evs, full, err = collectPage(rows, maxPage)
			if errors.As(err, &bad) {
				return nil // after what comes before it
			}
			return err
		})
		return conn.SendBatch(ctx, &pipeline).Close()
	})
	if err != nil {
		return false, err
	}
	if err := t.check(head); err != nil {
		return false, &stopped{err}
	}
	switch {
	case bad != nil:
		evs = without(evs, bad.at)
	case full:
		evs = without(evs, evs[len(evs)-1]) // the rest may be on the next page
	}
	if n := len(evs); n > 0 {
		t.advance(evs[n-1].Position)
		if t.after > head.Position { // committed after the first statement looked
			head.Position, head.Time = t.after, evs[n-1].Time
		}
	}
	if bad == nil || len(evs) > 0 {
		if err := t.fn(evs, head); err != nil {
			return false, &stopped{err}
		}
	}
	if bad != nil {
		return false, &stopped{bad}
	}
	return full, nil
}

// check says whether this is still the log that Tail began with.
func (t *tail) check(head Head) error {
	switch {
	case t.epoch != "" && head.Epoch != t.epoch:
		return ErrEpochChanged
	case head.Position < t.after:
		return fmt.Errorf("tail after %d: %w, which is at %d", t.after, ErrBeyondHead, head.Position)
	}
	t.epoch = head.Epoch
	return nil
}

// without cuts off the events at the end of evs that are of the same change set as ev.
func without(evs []events.Recorded, ev events.Recorded) []events.Recorded {
	n := len(evs)
	for n > 0 && evs[n-1].Namespace == ev.Namespace && evs[n-1].Revision == ev.Revision {
		n--
	}
	return evs[:n]
}

// await takes what this process's appender hands over, and returns when the database has to be looked at: something else
// is hinted at, what was handed over does not fit, or it is time anyway.
func (t *tail) await(ctx context.Context, conn *pgx.Conn, handed *intake) error {
	poll, cancel := context.WithTimeout(ctx, t.log.cfg.Poll)
	hinted := make(chan error, 1)
	go func() { hinted <- t.awaitHint(poll, conn) }()
	defer func() { cancel(); <-hinted }() // the connection is free again
	for {
		select {
		case err := <-hinted:
			hinted <- nil // for the deferred function
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case pgconn.Timeout(err) && !conn.IsClosed():
				return nil
			}
			return err
		case <-handed.ready:
			if fits, err := t.takeOver(handed); err != nil || !fits {
				return err
			}
		}
	}
}

// awaitHint returns when another process says that it has appended.
func (t *tail) awaitHint(ctx context.Context, conn *pgx.Conn) error {
	for {
		hint, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		if hint.PID == t.log.feed.writer.Load() {
			continue
		}
		// A batch's hint may come after its events were read together with those before.
		if pos, err := strconv.ParseInt(hint.Payload, 10, 64); err != nil || pos > t.at.Load() {
			return nil
		}
	}
}

// takeOver passes on what was handed over, if that is just what comes next.
func (t *tail) takeOver(handed *intake) (fits bool, err error) {
	evs, head, ok := handed.take()
	for len(evs) > 0 && evs[0].Position <= t.after {
		evs = evs[1:]
	}
	switch {
	case !ok || head.Epoch != t.epoch && len(evs) > 0:
		return false, nil
	case len(evs) == 0:
		return true, nil
	case evs[0].Position != t.after+1:
		return false, nil
	}
	t.fed = true
	t.advance(evs[len(evs)-1].Position)
	if err := t.fn(evs, head); err != nil {
		return false, &stopped{err}
	}
	return true, nil
}

func (t *tail) advance(to events.Position) {
	t.after = to
	t.at.Store(int64(to))
}

// backoff is how long to wait before the next try: longer each time, and not all at once.
type backoff struct {
	limit time.Duration // default 2 s
	next  time.Duration
}

func (b *backoff) reset() { b.next = 0 }

// pause waits, or returns ctx's error.
func (b *backoff) pause(ctx context.Context) error {
	const first = 10 * time.Millisecond
	limit := b.limit
	if limit == 0 {
		limit = 2 * time.Second
	}
	b.next = min(max(first, 2*b.next), limit)
	timer := time.NewTimer(b.next/2 + rand.N(b.next/2))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
