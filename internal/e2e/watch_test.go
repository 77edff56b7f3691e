package e2e

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// watcher is a reader that is looked at all the time: it may never go back, lose a key or show half a change.
type watcher struct {
	*readmodel.Reader
	ns    events.Namespace
	bound *readmodel.Bound[firstPair]
	done  chan struct{}
	wg    sync.WaitGroup
	looks atomic.Int64

	mu  sync.Mutex
	err error
}

// firstPair follows a reader as a bound struct does.
type firstPair struct {
	Left  int `holdfast:"left.0"`
	Right int `holdfast:"right.0"`
}

// watch opens a reader that is looked at from position from on.
func watch(t *testing.T, redisURL string, ns events.Namespace, from events.Position) *watcher {
	t.Helper()
	return watchBy(t, readmodel.Config{Redis: redisURL}, ns, from, 200*time.Microsecond, 1)
}

// watchBy is watch with so many looks every so often.
func watchBy(t *testing.T, cfg readmodel.Config, ns events.Namespace, from events.Position, every time.Duration, looks int) *watcher {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cfg.Logger = slog.New(slog.DiscardHandler)
	r, err := readmodel.Open(ctx, string(ns), cfg)
	if err != nil {
		t.Fatalf("open reader of %s: %v", ns, err)
	}
	if err := r.WaitFor(ctx, from); err != nil {
		t.Fatalf("reader of %s waits for position %d, is %+v: %v", ns, from, r.Status(), err)
	}
	bound, err := readmodel.Bind[firstPair](r)
	if err != nil {
		t.Fatal(err)
	}
	w := &watcher{Reader: r, ns: ns, bound: bound, done: make(chan struct{})}
	w.wg.Go(func() { w.look(every, looks) })
	t.Cleanup(func() { w.end(t) })
	return w
}

// end stops looking and reports what was seen to be wrong.
func (w *watcher) end(t *testing.T) {
	select {
	case <-w.done:
		return
	default:
	}
	close(w.done)
	w.wg.Wait()
	if err := w.Close(); err != nil {
		t.Errorf("close reader of %s: %v", w.ns, err)
	}
	if w.err != nil {
		t.Errorf("reader of %s: %v", w.ns, w.err)
	}
	if w.looks.Load() == 0 {
		t.Errorf("reader of %s was never looked at", w.ns)
	}
}

func (w *watcher) look(every time.Duration, looks int) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	last := w.Snapshot()
	for {
		select {
		case <-w.done:
			return
		case <-tick.C:
		}
		err := complete(w.Snapshot())
		for n := 0; n < looks && err == nil; n++ {
			s := w.Snapshot()
			err = errors.Join(whole(last, s, n%pairs), w.wholeBound())
			last = s
			w.looks.Add(1)
		}
		if err != nil {
			w.fail(err)
			return
		}
	}
}

func (w *watcher) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = errors.Join(w.err, err)
}

// pairKeys are the names of the pairs' keys.
var pairKeys = func() (keys [pairs][2]string) {
	for n := range keys {
		keys[n] = [2]string{fmt.Sprintf("left.%d", n), fmt.Sprintf("right.%d", n)}
	}
	return keys
}()

// whole says what is wrong with s, the first snapshot seen after last: it went back, or shows half of a change set that
// set the nth pair.
func whole(last, s *readmodel.Snapshot, n int) error {
	if s.Epoch() == last.Epoch() && s.Position() < last.Position() {
		return fmt.Errorf("went back from position %d to %d", last.Position(), s.Position())
	}
	left, okLeft := s.Get(pairKeys[n][0])
	right, okRight := s.Get(pairKeys[n][1])
	if !okLeft || !okRight {
		return fmt.Errorf("a key of pair %d vanished at position %d", n, s.Position())
	}
	if left.Value != right.Value {
		return fmt.Errorf("half a change at position %d: pair %d is %s and %s", s.Position(), n, left.Value, right.Value)
	}
	return nil
}

// complete says what is wrong with any of the pairs in s.
func complete(s *readmodel.Snapshot) error {
	var errs []error
	for n := range pairKeys {
		errs = append(errs, whole(s, s, n))
	}
	return errors.Join(errs...)
}

// wholeBound is whole for the bound struct, which has no position.
func (w *watcher) wholeBound() error {
	if v := w.bound.Load(); v.Left != v.Right {
		return fmt.Errorf("half a change in a bound struct: pair 0 is %d and %d", v.Left, v.Right)
	}
	return nil
}

// equalsLog waits until every view has everything in the log, and holds views and readers against a fold of it.
func equalsLog(t *testing.T, log *eventlog.Log, rdb redis.UniversalClient, watchers ...*watcher) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	head, err := log.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range watchers {
		if err := w.WaitFor(ctx, head.Position); err != nil {
			t.Fatalf("reader of %s waits for position %d, is %+v: %v", w.ns, head.Position, w.Status(), err)
		}
		want := folded(t, log, w.ns)
		got := map[events.Key]view.Entry{}
		for key := range want {
			if e, ok := w.Get(string(key)); ok {
				got[key] = e
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || w.Snapshot().Len() != len(want) {
			t.Errorf("reader of %s has %d keys of %d; differs from the log (-log +reader):\n%s", w.ns, w.Snapshot().Len(), len(want), diff)
		}
	}
	names, err := log.Namespaces(ctx, "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, ns := range names {
		got := map[events.Key]view.Entry{}
		if _, err := view.Load(ctx, rdb, ns, func(k events.Key, e view.Entry) error { got[k] = e; return nil }); err != nil {
			t.Errorf("load view of %s: %v", ns, err)
		}
		if diff := cmp.Diff(folded(t, log, ns), got); diff != "" {
			t.Errorf("view of %s differs from the log (-log +view):\n%s", ns, diff)
		}
	}
}

func folded(t *testing.T, log *eventlog.Log, ns events.Namespace) map[events.Key]view.Entry {
	t.Helper()
	tree, err := log.Load(t.Context(), ns, 0)
	if err != nil {
		t.Fatal(err)
	}
	entries := map[events.Key]view.Entry{}
	for key, e := range tree.Entries(ns) {
		entries[key] = view.Entry(e)
	}
	return entries
}
