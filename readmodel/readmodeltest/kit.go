// Package readmodeltest runs a program's real reader in its tests, without Redis: over values in memory that the test sets.
//
//	r := readmodeltest.New(t, MaxConns.Value(5))
//	pool := NewPool(r.Reader)
//	r.Set(MaxConns.Value(50)) // returns when the pool's listeners have run
//
// All that a reader does is there: typed keys, snapshots, listeners, prepare and veto, managed components, staleness.
// Each reader has values of its own, so tests may run in parallel; it is closed when its test ends.
package readmodeltest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel"
)

// Namespace is the one that the readers of this package read.
const Namespace = "test"

// limit is how long a test waits for what should happen at once.
const limit = 10 * time.Second

// Reader is a reader over values in memory. What it does not have of its own is the real reader's. Its methods fail the
// test when what should happen at once has not happened within 10 s.
type Reader struct {
	*readmodel.Reader
	t      testing.TB
	source *source
}

// New opens a reader that shows these values, and knows their keys. It fails the test if it can not.
func New(t testing.TB, values ...readmodel.Setting) *Reader {
	t.Helper()
	return Open(t, readmodel.Config{}, values...)
}

// Open is New with a configuration, for its Keys and time-outs, say. Source is replaced; the log is discarded
// if there is no Logger.
func Open(t testing.TB, cfg readmodel.Config, values ...readmodel.Setting) *Reader {
	t.Helper()
	s := newSource(values)
	cfg.Source = s
	for _, v := range values {
		if v.Of != nil {
			cfg.Keys = append(slices.Clip(cfg.Keys), v.Of)
		}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	r, err := readmodel.Open(ctx, Namespace, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return &Reader{Reader: r, t: t, source: s}
}

// Set sets values in one change set. It returns when they are shown and all listeners have returned from it, and fails
// the test if something vetoes them. While the reader is disconnected it returns at once.
func (r *Reader) Set(values ...readmodel.Setting) {
	r.t.Helper()
	if err := r.TrySet(values...); err != nil {
		r.t.Fatalf("readmodeltest: set: %v", err)
	}
}

// TrySet is Set for a change that may be vetoed: the error is then a [*readmodel.VetoError].
func (r *Reader) TrySet(values ...readmodel.Setting) error {
	changes := map[events.Key]*readmodel.Setting{}
	for _, v := range values {
		changes[v.Key] = &v
	}
	return r.change(changes)
}

// Unset takes the values of keys away, as Set sets them: [readmodel.Key.Get] then returns the declared default.
func (r *Reader) Unset(keys ...readmodel.Declared) {
	r.t.Helper()
	changes := map[events.Key]*readmodel.Setting{}
	for _, k := range keys {
		changes[events.Key(k.Name())] = nil
	}
	if err := r.change(changes); err != nil {
		r.t.Fatalf("readmodeltest: unset: %v", err)
	}
}

func (r *Reader) change(changes map[events.Key]*readmodel.Setting) error {
	pos, delivered := r.source.change(changes)
	if !delivered {
		return nil
	}
	return r.settle(pos)
}

// settle waits until everything up to pos was dealt with.
func (r *Reader) settle(pos events.Position) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := r.WaitFor(ctx, pos); err != nil {
		return err
	}
	return r.Delivered(ctx)
}

// Disconnect cuts the reader off: it is stale when Disconnect returns, and shows what it has. What is set meanwhile is
// shown after Reconnect.
func (r *Reader) Disconnect() {
	r.source.connect(false)
	r.await(func(st readmodel.Status) bool { return st.State != readmodel.Live })
}

// Reconnect ends Disconnect. It returns when the reader is live and shows what was set meanwhile, and its listeners have
// returned from it; the error is as that of TrySet.
func (r *Reader) Reconnect() error {
	pos := r.source.connect(true)
	r.await(func(st readmodel.Status) bool { return st.State == readmodel.Live })
	return r.settle(pos)
}

// await waits until the reader's status is as wanted.
func (r *Reader) await(want func(readmodel.Status) bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for !want(r.Status()) {
		select {
		case <-r.source.handled():
		case <-ctx.Done():
			r.t.Fatalf("readmodeltest: status is still %+v", r.Status())
		}
	}
}

// Raw is a setting of any key as its stored JSON, also one that a declaration refuses: Raw("db.max_conns", `"many"`). It
// panics if value is not JSON or key is no name of a key.
func Raw(key, value string) readmodel.Setting {
	k, err := events.ParseKey(key)
	v, wrong := events.ParseValue([]byte(value))
	if err := errors.Join(err, wrong); err != nil {
		panic(fmt.Sprintf("readmodeltest: %v", err))
	}
	return readmodel.Setting{Key: k, Kind: events.JSON, Value: v}
}
