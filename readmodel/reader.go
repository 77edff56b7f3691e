package readmodel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// Reader is a live view of one namespace. Its methods may be called concurrently. A nil Reader has no values.
type Reader struct {
	namespace events.Namespace
	cfg       Config
	log       *slog.Logger
	opened    time.Time

	ctx       context.Context // ends at Close
	cancel    context.CancelFunc
	following sync.WaitGroup
	close     func() error

	snapshot atomic.Pointer[Snapshot] // shown
	keys     *keys
	chain    *chain               // of sources; other readers may share it
	report   func() view.Instance // nil: the reader does not report
	ready    chan struct{}        // closed when there is a snapshot and its state is known

	mu        sync.Mutex // guards what is below, and that snapshot and listeners move together
	said      word
	resyncs   int
	moved     chan struct{} // closed when more is shown or confirmed; nil: nobody waits
	listeners map[*listener]struct{}
	bound     []func(step) // what follows each step that is shown
	acceptance
}

// Open loads the view of ns and follows it. It waits until a source confirms the first snapshot, for as long as
// [Config.Wait] says and within ctx. Then it takes what there is, unless [Config.RequireFresh]: what a source has loaded
// and can not confirm; the last snapshot on disk, with [Config.SnapshotDir]; nothing but the program's defaults, with
// [Config.AllowDefaults]. Else it fails, and the error says what was wrong with each source. [Reader.Status] says which
// it was. The reader lives until Close, not until ctx ends, and goes on trying.
func Open(ctx context.Context, ns string, cfg Config) (*Reader, error) {
	namespace, err := events.ParseNamespace(ns)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	r := newReader(namespace, cfg.withDefaults())
	if err := r.follow(); err != nil {
		return nil, fmt.Errorf("open %s: %w", namespace, err)
	}
	if r.cfg.SnapshotDir != "" {
		r.following.Go(r.keepOnDisk)
	}
	waiting, cancel := context.WithTimeout(ctx, r.cfg.patience(r.Snapshot().onDisk()))
	defer cancel()
	select {
	case <-r.ready:
		if err := r.compare(cfg.Keys); err != nil {
			return nil, errors.Join(fmt.Errorf("open %s: %w", namespace, err), r.Close())
		}
		return r, nil
	case <-waiting.Done():
	}
	if r.mayStart() && !errors.Is(ctx.Err(), context.Canceled) {
		st := r.Status()
		r.log.Warn("opened without a source", "namespace", namespace, "state", st.State, "position", st.Position, "error", st.Err)
		return r, nil
	}
	trouble := r.Status().Err
	if err := r.Close(); err != nil {
		trouble = errors.Join(trouble, err)
	}
	return nil, fmt.Errorf("open %s: %w: %w", namespace, waiting.Err(), trouble)
}

// mayStart says whether the reader may be used although nothing has confirmed what it shows.
func (r *Reader) mayStart() bool {
	return !r.cfg.RequireFresh && (r.Snapshot() != nil || r.cfg.AllowDefaults)
}

func newReader(ns events.Namespace, cfg Config) *Reader {
	r := &Reader{
		namespace: ns, cfg: cfg, log: cfg.Logger, opened: time.Now(),
		keys: newKeys(cfg.Logger, cfg.Keys), ready: make(chan struct{}), listeners: map[*listener]struct{}{},
	}
	if !cfg.NoReports {
		r.report = r.identify()
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.close = sync.OnceValue(func() error {
		r.cancel()
		err := r.chain.leave(r)
		r.following.Wait()
		return err
	})
	return r
}

// follow has the reader follow another's sources, or its own.
func (r *Reader) follow() error {
	if other := r.cfg.Share; other != nil {
		if err := r.cfg.sharing(r.namespace); err != nil {
			return err
		}
		r.cfg.Share = nil // when it is closed nothing should keep it
		return other.chain.join(r)
	}
	sources, err := r.cfg.sources()
	if err != nil {
		return err
	}
	c := newChain(r.namespace, sources...)
	if redis, ok := sources[0].(*redisSource); ok {
		redis.reports.instances = c.instances
	}
	c.feed.restore(r.cfg.SnapshotDir, r.log)
	defer c.start()
	return c.join(r)
}

// Close ends following and waits for it, closes the sources unless other readers share them ([Config.Share]), writes the
// last snapshot to disk where that is asked for, and wakes whoever waits. Reads go on answering from the last snapshot. It
// may be called more than once. Its error is that of closing the sources.
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
// error, saying how far the reader is, with [ErrClosed], or with a [*VetoError] if the newest state, pos included, was
// vetoed: it is not going to be shown before something changes. A position of the reader's own namespace is seen the
// moment it is shown; for another's the source is asked every few tens of milliseconds.
func (r *Reader) WaitFor(ctx context.Context, pos events.Position) error {
	var again *time.Ticker
	for {
		shown, veto, moved := r.progress(pos)
		if shown >= pos {
			return nil
		}
		if veto != nil {
			return fmt.Errorf("wait for position %d, at %d: %w", pos, shown, veto)
		}
		select {
		case r.chain.asked <- struct{}{}:
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
