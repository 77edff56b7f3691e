package api

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

const (
	askTimeout  = 300 * time.Millisecond // for a small answer: what a hung Redis may cost a read
	loadTimeout = 5 * time.Second        // for a whole view, of a Redis that just answered
	restFor     = time.Second            // how long a Redis that failed is left alone
)

// views reads the views in Redis. After a failure only one request a second finds out whether Redis is back; the others
// do not wait for it.
type views struct {
	rdb       redis.UniversalClient
	logger    *slog.Logger
	restUntil atomic.Int64 // Unix nanoseconds; 0: Redis answers
}

func newViews(rdb redis.UniversalClient, logger *slog.Logger) *views {
	return &views{rdb: rdb, logger: logger}
}

// all returns the whole view of ns, if Redis has it up to min.
func (v *views) all(ctx context.Context, ns events.Namespace, min events.Position) (head view.Head, entries map[events.Key]view.Entry, ok bool) {
	ok = v.ask(ctx, min, func(quick context.Context) (view.Head, error) {
		if _, err := view.LoadHead(quick, v.rdb, ns); err != nil {
			return view.Head{}, err
		}
		ctx, cancel := context.WithTimeout(ctx, loadTimeout)
		defer cancel()
		entries = map[events.Key]view.Entry{}
		var err error
		head, err = view.Load(ctx, v.rdb, ns, func(key events.Key, e view.Entry) error {
			entries[key] = e
			return nil
		})
		return head, err
	})
	return head, entries, ok
}

// one returns the entry of one key, nil if it has no effective value, if Redis has the view up to min.
func (v *views) one(ctx context.Context, ns events.Namespace, key events.Key, min events.Position) (entry *view.Entry, ok bool) {
	ok = v.ask(ctx, min, func(quick context.Context) (view.Head, error) {
		head, entries, err := view.LoadKeys(quick, v.rdb, ns, key)
		if e, found := entries[key]; found {
			entry = &e
		}
		return head, err
	})
	return entry, ok
}

// heartbeat returns what the projector last said of itself.
func (v *views) heartbeat(ctx context.Context) (view.Heartbeat, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return view.LoadHeartbeat(ctx, v.rdb)
}

// ask calls load, unless Redis rests, and says whether what it loaded includes min.
func (v *views) ask(ctx context.Context, min events.Position, load func(quick context.Context) (view.Head, error)) bool {
	if v == nil || !v.mayAsk() {
		return false
	}
	quick, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	// A view is not touched by what happens elsewhere, so that its own position may stay below min for ever. The
	// heartbeat speaks for all views: what was loaded after it includes what it says.
	var beat view.Heartbeat
	var err error
	if min > 0 {
		if beat, err = view.LoadHeartbeat(quick, v.rdb); errors.Is(err, view.ErrAbsent) {
			err = nil
		}
	}
	var head view.Head
	if err == nil {
		head, err = load(quick)
	}
	switch {
	case err == nil:
		v.answered()
		return head.Position >= min || beat.Epoch == head.Epoch && beat.Position >= min
	case errors.Is(err, view.ErrAbsent), errors.Is(err, view.ErrIncomplete):
		v.answered()
	case ctx.Err() == nil:
		v.failed(err)
	}
	return false
}

// mayAsk says no while Redis rests. When the rest is over it says yes to one caller, whose answer decides for the others.
func (v *views) mayAsk() bool {
	until, now := v.restUntil.Load(), time.Now()
	return until == 0 || until < now.UnixNano() && v.restUntil.CompareAndSwap(until, now.Add(restFor).UnixNano())
}

func (v *views) answered() {
	if v.restUntil.Load() != 0 && v.restUntil.Swap(0) != 0 {
		v.logger.Info("redis answers again; values are read from it")
	}
}

func (v *views) failed(err error) {
	if v.restUntil.Swap(time.Now().Add(restFor).UnixNano()) == 0 {
		v.logger.Warn("redis does not answer; values are read from the log", "error", err)
	}
}
