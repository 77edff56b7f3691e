package eventlog

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// channel is where the end of the log is notified.
const channel = "holdfast_events"

// hintsLock is the lock of those who want hints, as SQL: "holdhint". They share it, each for as long as its session lasts.
// Who appends tries to have it alone until the end of the transaction. If that fails, somebody is there to be notified; else
// whoever comes waits for that end, and then finds what was appended.
//
// A process that appends shares it over the connection that it appends over, where it is not in the way of that try. Its
// tails are handed what it appends; what others append, they are notified of because of that.
const hintsLock = `x'686F6C6468696E74'::bigint`

// hint, selected while the head is moved to position, notifies those who want it. Nobody, where one process appends and
// projects: then it saves a tenth of the time.
const hint = `CASE WHEN NOT pg_try_advisory_xact_lock(` + hintsLock + `) THEN pg_notify('` + channel + `', position::text) END`

// wantHints takes the lock of those who want hints for the session. It waits for a transaction that began without them.
func wantHints(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `SELECT pg_advisory_lock_shared(`+hintsLock+`)`)
	return err
}

// leaveHints gives the session's lock back.
func leaveHints(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `SELECT pg_advisory_unlock_shared(`+hintsLock+`)`)
	return err
}
