package eventlog

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast-config/holdfast/events"
)

var (
	// ErrUnknown: the answer to COMMIT was lost or did not come in time; the events may be stored or not.
	ErrUnknown = errors.New("outcome unknown: the database's answer was lost; post again with the same idempotency key to learn it")
	// ErrKeyReused: the idempotency key was used for another request.
	ErrKeyReused = errors.New("idempotency key was used for another request")
	// ErrBusy: more change sets wait than the appender takes; nothing was stored; try again later.
	ErrBusy = errors.New("too many change sets are waiting")
	// ErrUnavailable: Postgres can not be reached; nothing was stored.
	ErrUnavailable = errors.New("database unavailable")
	// ErrEpochChanged: this is another history than the one that Tail began to read; what was made of that is void.
	ErrEpochChanged = errors.New("the log's epoch changed: it was restored or replaced")
	// ErrBeyondHead: Tail was asked for events after a position that the log has not reached: the log was replaced by an
	// older one, or the position is of another log.
	ErrBeyondHead = errors.New("position is beyond the end of the log")
	// ErrLockLost is the cause of the end of the context that Lead gives.
	ErrLockLost = errors.New("the session lock is lost: another process may lead")
)

// undecodable is an event that can not be read: of an unknown type (then it wraps [*events.UnknownTypeError]), or damaged.
type undecodable struct {
	at  events.Recorded // but for the event
	err error
}

func (e *undecodable) Error() string { return fmt.Sprintf("event %d: %v", e.at.Position, e.err) }
func (e *undecodable) Unwrap() error { return e.err }

// SQLSTATEs, or classes of them, that this package branches on.
const (
	undefinedTable   = "42P01"
	uniqueViolation  = "23505"
	readOnly         = "25006"
	lockNotAvailable = "55P03" // within lock_timeout

	classData       = "22"
	classConstraint = "23"
	classLimit      = "54"
)

// transient says whether err is of the kind that passes: the server can not be reached, is going down, is out of
// something, or has cancelled the statement.
func transient(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		if pg.SeverityUnlocalized != "ERROR" || pg.Code == readOnly {
			return true
		}
		switch class(pg) {
		case "08", "40", "53", "55", "57", "58":
			return true
		}
		return false
	}
	_, broken := errors.AsType[*undecodable](err)
	return !broken // what is neither an answer of the server nor an event is the connection's
}

func class(pg *pgconn.PgError) string { return pg.Code[:min(2, len(pg.Code))] }

// readError is what a read that failed with err returns to the caller whose context is ctx.
func readError(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return unavailable(err)
}

// broken says whether err is that of a connection which was made before and has ended since.
func broken(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok || pgconn.Timeout(err) || !transient(err) {
		return false
	}
	return judge(err, false) != rejected
}

// unavailable wraps err in ErrUnavailable if it is of the kind that passes.
func unavailable(err error) error {
	if errors.Is(err, ErrUnavailable) || !transient(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// verdict is what is certain about a transaction whose statement failed.
type verdict int

const (
	rejected verdict = iota // the server refused it: nothing was stored, and the connection lives
	lost                    // the connection broke before the server could act: nothing was stored
	unknown                 // it may be stored or not
)

// judge returns what is certain after err. Answered says that the last statement before COMMIT had been answered, so that
// the server was at COMMIT or past it. A FATAL message comes in its turn after the answers: before them, the transaction
// had not come to its end.
func judge(err error, answered bool) verdict {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch {
		case pg.SeverityUnlocalized == "ERROR":
			return rejected
		case !answered:
			return lost
		}
		return unknown
	}
	if pgconn.SafeToRetry(err) {
		return lost
	}
	return unknown
}

func violates(err error, constraint string) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == uniqueViolation && pg.ConstraintName == constraint
}
