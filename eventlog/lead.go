package eventlog

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// The session locks of those that lead, and their times. The server ends a session that is silent for leaderSilence, and with it
// the lock: that is the server's clock, which a stopped process can not hold up. A leader that lives asks every
// leaderInterval and stops leading when the answer takes longer than leaderPatience: before the server can have given
// the lock to another.
const (
	leaderLock     = 0x686F6C64_6C656164 // "holdlead"
	sealerLock     = 0x686F6C64_7365616C // "holdseal"
	leaderInterval = time.Second
	leaderPatience = 2 * time.Second
	leaderSilence  = "5s"
)

// Lead elects one process at a time: it waits until it holds the session lock, counts a new term, and calls lead with a
// context that ends as soon as the lock is lost, with the cause ErrLockLost. A process that stops answering for more than
// 5 s loses the lock, by the server's own clock. It returns lead's error, or ctx's.
func (l *Log) Lead(ctx context.Context, lead func(ctx context.Context, term int64) error) error {
	var term int64
	count := func(ctx context.Context, conn *pgx.Conn) error {
		return ask(ctx, conn, &term, `UPDATE term SET term = term + 1 RETURNING term`)
	}
	return l.elected(ctx, leaderLock, count, func(ctx context.Context) error { return lead(ctx, term) })
}

// LeadSealing is Lead with an election of its own, and without a term: [Log.Seal] itself refuses who comes late.
func (l *Log) LeadSealing(ctx context.Context, lead func(context.Context) error) error {
	begin := func(context.Context, *pgx.Conn) error { return nil }
	return l.elected(ctx, sealerLock, begin, lead)
}

// elected waits for the lock, calls begin in the session that holds it, and then lead for as long as it does.
func (l *Log) elected(ctx context.Context, lock int64, begin func(context.Context, *pgx.Conn) error, lead func(context.Context) error) error {
	var wait backoff
	for {
		conn, err := l.elect(ctx, &wait, lock, begin)
		if err == nil {
			defer disconnect(conn) // which releases the lock
			return whileHeld(ctx, conn, lead)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		l.cfg.Logger.Warn("lead: reconnecting", "err", err)
		if err := wait.pause(ctx); err != nil {
			return err
		}
	}
}

// elect waits for the lock, over one connection, and calls begin in the session that holds it.
func (l *Log) elect(ctx context.Context, wait *backoff, lock int64, begin func(context.Context, *pgx.Conn) error) (_ *pgx.Conn, err error) {
	conn, err := l.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			disconnect(conn)
		}
	}()
	if err := ask(ctx, conn, nil, `SET idle_session_timeout = '`+leaderSilence+`'`); err != nil {
		return nil, err
	}
	ticks := time.NewTicker(leaderInterval)
	defer ticks.Stop()
	for {
		var held bool
		if err := ask(ctx, conn, &held, `SELECT pg_try_advisory_lock($1)`, lock); err != nil {
			return nil, err
		}
		wait.reset()
		if held {
			return conn, begin(ctx, conn)
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// ask runs a statement, and scans its one value into result unless that is nil, within leaderPatience.
func ask(ctx context.Context, conn *pgx.Conn, result any, sql string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, leaderPatience)
	defer cancel()
	if result == nil {
		_, err := conn.Exec(ctx, sql, args...)
		return err
	}
	return conn.QueryRow(ctx, sql, args...).Scan(result)
}

// whileHeld calls lead with a context that ends when conn's session, which holds the lock, may have ended.
func whileHeld(ctx context.Context, conn *pgx.Conn, lead func(context.Context) error) error {
	leading, end := context.WithCancelCause(ctx)
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		if err := keep(leading, conn); err != nil {
			end(fmt.Errorf("%w: %w", ErrLockLost, err))
		}
	}()
	defer func() {
		end(nil)
		<-kept
	}()
	return lead(leading)
}

// keep keeps the session alive until ctx ends (nil) or the session does.
func keep(ctx context.Context, conn *pgx.Conn) error {
	ticks := time.NewTicker(leaderInterval)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C:
		}
		if err := ask(ctx, conn, nil, `SELECT`); err != nil {
			return err
		}
	}
}
