package eventlog

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// channel is where the end of the log is notified.
const channel = "holdfast_events"

// hintsLock is a lock, as SQL ("holdhint"), that every session which wants hints holds shared. Who appends tries to take it
// exclusively until the end of the transaction: that succeeds if no other session wants hints, and then nobody is notified.
// A session that comes meanwhile waits for that end, and finds what was appended when it looks next.
//
// A process that appends holds it shared in the session that appends, where it is not in the way of that try. Others notify
// it because of that; its tails are handed what it appends itself.
const hintsLock = `x'686F6C6468696E74'::bigint`

// hint, selected while the head is moved to position, notifies those who want it.
const hint = `CASE WHEN NOT pg_try_advisory_xact_lock(` + hintsLock + `) THEN pg_notify('` + channel + `', position::text) END`

// wantHints takes the lock for the session, unless that takes longer than a hint is worth: then false.
func wantHints(ctx context.Context, conn *pgx.Conn) (bool, error) {
	_, err := conn.Exec(ctx, `SET LOCAL lock_timeout = '100ms'; SELECT pg_advisory_lock_shared(`+hintsLock+`)`)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == lockNotAvailable {
		return false, nil
	}
	return err == nil, err
}

// leaveHints gives the session's lock back.
func leaveHints(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `SELECT pg_advisory_unlock_shared(`+hintsLock+`)`)
	return err
}
