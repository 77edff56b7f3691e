package readmodel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// Entry is an effective value and where it comes from.
type Entry = view.Entry

// ErrClosed is returned by what waits on a reader that is closed.
var ErrClosed = errors.New("reader is closed")

// Config configures a [Reader]. One of Redis and Source is required.
type Config struct {
	// Redis is where the views are: redis://user:password@host:6379/0 (rediss:// with TLS, unix:///path for a socket);
	// with &addr=host:port for each further node a cluster, with &master_name=name a primary found through sentinels.
	Redis string
	// Source replaces Redis, for tests and other ways to read. The reader closes it.
	Source Source
	// Logger gets state changes, never values. Default: slog.Default.
	Logger *slog.Logger
}

// Reader is a live view of one namespace. Its methods may be called concurrently. A nil Reader has no values.
type Reader struct {
	namespace events.Namespace
	source    Source
	log       *slog.Logger
	opened    time.Time

	ctx       context.Context // ends at Close
	cancel    context.CancelFunc
	following sync.WaitGroup
	close     func() error

	snapshot atomic.Pointer[Snapshot]
	asked    chan struct{} // see Sink.Asked
	ready    chan struct{} // closed when there is a snapshot and its state is known

	mu        sync.Mutex // guards what is below, and that snapshot, head and listeners move together
	state     State      // empty: not known yet
	trouble   error
	contact   time.Time
	head      events.Position // last known end of the log
	confirmed events.Position // nothing up to here is missing
	resyncs   int
	moved     chan struct{} // closed when more is shown or confirmed; nil: nobody waits
	listeners map[*listener]struct{}
}

// Open loads the view of ns and follows it. It waits, within ctx, until the first snapshot is there: a source that is
// down and a namespace whose view is not yet projected are waited for, so give ctx a deadline. The error then says what
// was missing. The reader lives until Close, not until ctx ends.
func Open(ctx context.Context, ns string, cfg Config) (*Reader, error) {
	namespace, err := events.ParseNamespace(ns)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	source := cfg.Source
	if source == nil {
		if source, err = newRedisSource(cfg.Redis, cfg.Logger); err != nil {
			return nil, fmt.Errorf("open %s: %w", namespace, err)
		}
	}
	r := newReader(namespace, source, cfg.Logger)
	r.following.Go(r.follow)
	select {
	case <-r.ready:
		return r, nil
	case <-ctx.Done():
	}
	trouble := r.Status().Err
	if err := r.Close(); err != nil {
		trouble = errors.Join(trouble, err)
	}
	if trouble == nil {
		trouble = fmt.Errorf("%s has not answered", source.Name())
	}
	return nil, fmt.Errorf("open %s: %w: %w", namespace, ctx.Err(), trouble)
}

func newReader(ns events.Namespace, source Source, log *slog.Logger) *Reader {
	r := &Reader{
		namespace: ns, source: source, log: log, opened: time.Now(),
		asked: make(chan struct{}, 1), ready: make(chan struct{}), listeners: map[*listener]struct{}{},
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.close = sync.OnceValue(func() error {
		r.cancel()
		err := r.source.Close()
		r.following.Wait()
		return err
	})
	return r
}

// Close ends following and waits for it, closes the source, and wakes whoever waits. Reads go on answering from the last
// snapshot. It may be called more than once.
func (r *Reader) Close() error { return r.close() }

// Snapshot returns the newest snapshot. It is one atomic load.
func (r *Reader) Snapshot() *Snapshot {
	if r == nil {
		return nil
	}
	return r.snapshot.Load()
}

// Get returns the effective value of key in the newest snapshot; false: it has none. Reads that must agree with each
// other belong on one [Reader.Snapshot].
func (r *Reader) Get(key string) (Entry, bool) {
	it := r.item(events.Key(key))
	if it == nil {
		return Entry{}, false
	}
	return it.Entry, true
}

// item is kept out of line, and does not call the snapshot's, for the same reason as that.
//
//go:noinline
func (r *Reader) item(key events.Key) *item {
	if s := r.Snapshot(); s != nil {
		it, _ := s.items.Get(key)
		return it
	}
	return nil
}

// askEvery is how often a waiter reminds the source that it waits.
const askEvery = 20 * time.Millisecond

// WaitFor returns when the reader shows everything up to pos, also if pos is another namespace's. It fails with ctx's
// error, saying how far the reader is, or with [ErrClosed]. A position of the reader's own namespace is seen the moment
// it is applied; for another's the source is asked every few tens of milliseconds.
func (r *Reader) WaitFor(ctx context.Context, pos events.Position) error {
	var again *time.Ticker
	for {
		shown, moved := r.progress()
		if shown >= pos {
			return nil
		}
		select {
		case r.asked <- struct{}{}:
		default:
		}
		if again == nil {
			again = time.NewTicker(askEvery)
			defer again.Stop()
		}
		select {
		case <-moved:
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for position %d, at %d: %w", pos, shown, ctx.Err())
		case <-r.ctx.Done():
			return fmt.Errorf("wait for position %d, at %d: %w", pos, shown, ErrClosed)
		}
	}
}

// progress returns up to where nothing is missing, and a channel that is closed when that moves.
func (r *Reader) progress() (events.Position, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.moved == nil {
		r.moved = make(chan struct{})
	}
	return max(r.Snapshot().Position(), r.confirmed), r.moved
}

// follow keeps the source following until Close.
func (r *Reader) follow() {
	for tries := 0; ; tries++ {
		began, before := time.Now(), r.Snapshot()
		err := r.source.Follow(r.ctx, r.namespace, r.have(), sink{r})
		if r.ctx.Err() != nil {
			return
		}
		if r.Snapshot() != before || time.Since(began) > maxPause {
			tries = 0 // it worked for a while
		}
		r.lost(err)
		select {
		case <-r.ctx.Done():
			return
		case <-time.After(pause(tries)):
		}
	}
}

const (
	minPause = 50 * time.Millisecond
	maxPause = 2 * time.Second
)

// pause is how long to wait before trying again after some tries in vain: longer each time, and never the same for all
// of the readers that lost their Redis at one moment.
func pause(tries int) time.Duration {
	top := min(minPause<<min(tries, 10), maxPause)
	return top/2 + rand.N(top/2)
}

func (r *Reader) have() view.Head {
	s := r.Snapshot()
	return view.Head{Epoch: s.Epoch(), Position: s.Position(), Revision: s.Revision(), Keys: s.Len()}
}

// lost notes that the source does not follow any more.
func (r *Reader) lost(err error) {
	if err == nil {
		err = fmt.Errorf("%s has stopped to follow", r.source.Name())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.setStale(err)
	r.settle()
}
