package readmodel

import (
	"context"
	"log/slog"
	"time"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// Entry is an effective value and where it comes from.
type Entry = view.Entry

// Config configures a [Reader].
type Config struct {
	// Redis is where the views are: a URL as in internal/redisurl (single server, cluster, sentinel).
	Redis string
	// Source replaces Redis, for tests and other ways to read. Default: the Redis source of the URL above.
	Source Source
	// Logger gets state changes, never values. Default: slog.Default.
	Logger *slog.Logger
}

// Reader is a live view of one namespace. Its methods may be called concurrently.
type Reader struct{}

// Open loads the view of ns and follows it. It waits, within ctx, until the first snapshot is there: a namespace whose
// view is not yet projected is waited for. The reader lives until Close, not until ctx ends.
func Open(ctx context.Context, ns string, cfg Config) (*Reader, error) { panic("unwritten") }

// Close ends following and waits for it; reads go on answering from the last snapshot.
func (r *Reader) Close() error { panic("unwritten") }

// Snapshot returns the newest snapshot. It is one atomic load.
func (r *Reader) Snapshot() *Snapshot { panic("unwritten") }

// Get returns the effective value of key in the newest snapshot.
func (r *Reader) Get(key string) (Entry, bool) { panic("unwritten") }

// WaitFor returns when the reader shows everything up to pos, also if pos is another namespace's, or with ctx's error.
func (r *Reader) WaitFor(ctx context.Context, pos events.Position) error { panic("unwritten") }

// OnChange calls fn for every change set that becomes visible from now on, in order, from one goroutine of the reader's
// own; a slow fn delays later calls and never the values. The returned function ends it.
func (r *Reader) OnChange(fn func(Changed)) (stop func()) { panic("unwritten") }

// Changed is a change set that has become visible: what was, what is, who, why.
type Changed struct {
	Namespace      events.Namespace
	Epoch          string
	Position       events.Position
	Revision       events.Revision  // of Namespace
	Origin         events.Namespace // whose change set it was: Namespace or an ancestor
	OriginRevision events.Revision
	Actor          string // empty after a resync, when what happened in between is known only as a whole
	Reason         string
	Time           time.Time
	Resynced       bool // the view was loaded anew; Changes is the difference to the snapshot before
	Changes        []ChangedKey
}

// ChangedKey is one key's change. Nil: no effective value.
type ChangedKey struct {
	Key events.Key
	Old *Entry
	New *Entry
}

// State is where a reader's values come from at the moment.
type State string

const (
	Live  State = "live"  // the source answers and everything it has is shown
	Stale State = "stale" // the source does not answer, or its view is absent; memory is served
)

// Status says how fresh the reader is.
type Status struct {
	Namespace   events.Namespace
	State       State
	Source      string // name of the source
	Epoch       string
	Position    events.Position // shown
	Revision    events.Revision
	Head        events.Position // last known end of the log
	LastContact time.Time       // when the source last answered
	Age         time.Duration   // since LastContact; 0 while live
	Keys        int
	Resyncs     int   // times the view had to be loaded anew
	Err         error // why the reader is not live
}

// Status may be called at any time.
func (r *Reader) Status() Status { panic("unwritten") }

// Snapshot is an immutable view at one position.
type Snapshot struct{}

func (s *Snapshot) Namespace() events.Namespace { panic("unwritten") }
func (s *Snapshot) Epoch() string               { panic("unwritten") }
func (s *Snapshot) Position() events.Position   { panic("unwritten") }
func (s *Snapshot) Revision() events.Revision   { panic("unwritten") }
func (s *Snapshot) Len() int                    { panic("unwritten") }

// Get returns the effective value of key. It does not allocate.
func (s *Snapshot) Get(key string) (Entry, bool) { panic("unwritten") }
