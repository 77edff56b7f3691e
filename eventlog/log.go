package eventlog

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/holdfast-config/holdfast/config"
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
)

// Config configures a [Log]. Its zero value works, but for URL.
type Config struct {
	URL        string        // postgres:// URL or key=value string of the application's role
	Logger     *slog.Logger  // default: slog.Default
	PoolSize   int           // connections; default 8
	Timeout    time.Duration // for one transaction or read; default 10 s
	Poll       time.Duration // how often Tail looks without a hint; default 1 s
	MaxWaiting int           // change sets that may wait; more are ErrBusy; default 4096
	CacheKeys  int           // keys of folded trees kept in memory; default 1,000,000
}

// Log is the log of events. Its methods may be called concurrently.
type Log struct{}

// Open connects, checks that the schema is the one this program needs (else the error says to run the migrations), and
// starts the appender. Close ends it.
func Open(ctx context.Context, cfg Config) (*Log, error) { panic("unwritten") }

// Close refuses new change sets with ErrBusy, waits for the batch under way and closes all connections.
func (l *Log) Close() { panic("unwritten") }

// Ping reports whether Postgres answers.
func (l *Log) Ping(ctx context.Context) error { panic("unwritten") }

// Head is where the log ends.
type Head struct {
	Epoch    string          // identity of this history, a UUID
	Position events.Position // of the last event; 0: none
	Time     time.Time       // of the last event
}

// Head returns where the log ends now.
func (l *Log) Head(ctx context.Context) (Head, error) { panic("unwritten") }

// Request is a change set to append, but for the decision.
type Request struct {
	Namespace events.Namespace
	Actor     string
	Reason    string
	Receipt   *Receipt // nil: no idempotent retry
}

// Receipt makes a retry of the same request find the answer of the first. Kept for at least 7 days.
type Receipt struct {
	Principal string   // whose keys these are
	Key       string   // the Idempotency-Key, 1 to 255 bytes
	Hash      [32]byte // SHA-256 of the request
}

// Decide returns the events that a change set causes in t, none if it changes nothing, or why it is refused. It is
// called with the tree that has everything before the change set, perhaps several times, from one goroutine at a time.
type Decide func(t config.Tree) ([]events.Event, error)

// Appended is the answer to a change set that was accepted.
type Appended struct {
	Namespace events.Namespace
	Revision  events.Revision // after the change set; unchanged if it had no events
	Position  events.Position // of its last event; if it had none, that up to which it was decided
	Events    int
	Time      time.Time
	Replayed  bool // answered from a receipt
}

// Append decides and appends. Errors are decide's own, or those of this package.
func (l *Log) Append(ctx context.Context, req Request, decide Decide) (Appended, error) {
	panic("unwritten")
}

// Load folds the tree that ns belongs to, from the events up to and including at (0: all). It costs by the keys, not by
// the length of their history.
func (l *Log) Load(ctx context.Context, ns events.Namespace, at events.Position) (config.Tree, error) {
	panic("unwritten")
}

// Present is Load of now, from the appender's memory brought up to date where it can.
func (l *Log) Present(ctx context.Context, ns events.Namespace) (config.Tree, error) {
	panic("unwritten")
}

// Namespaces lists the namespaces that exist, sorted, those after the given one, at most limit.
func (l *Log) Namespaces(ctx context.Context, after events.Namespace, limit int) ([]events.Namespace, error) {
	panic("unwritten")
}

// Query selects events. The zero Query is all of them from the start.
type Query struct {
	Namespace events.Namespace // empty: all
	Key       events.Key       // empty: all; needs Namespace
	After     events.Position  // exclusive
	Until     events.Position  // inclusive; 0: no end
	Limit     int              // default and maximum 10,000
}

// Read returns events in the order of their positions.
func (l *Log) Read(ctx context.Context, q Query) ([]events.Recorded, error) { panic("unwritten") }

// Tail calls fn with the events after the given position, as they come, in order and in whole change sets, until ctx
// ends or fn fails; it returns that error. It reconnects by itself. fn is called with no events when Tail has looked and
// there is nothing new (at least every Poll), so that the caller knows it is up to date with head.
func (l *Log) Tail(ctx context.Context, after events.Position, fn func(evs []events.Recorded, head Head) error) error {
	panic("unwritten")
}

// Await returns when the log has reached pos, or with ctx's error.
func (l *Log) Await(ctx context.Context, pos events.Position) error { panic("unwritten") }

// Lead elects one process at a time: it waits until it holds the session lock, counts a new term, and calls lead with a
// context that ends as soon as the lock is lost. A process that stops answering for more than 5 s loses the lock, by
// the server's own clock. It returns lead's error, or ctx's.
func (l *Log) Lead(ctx context.Context, lead func(ctx context.Context, term int64) error) error {
	panic("unwritten")
}
