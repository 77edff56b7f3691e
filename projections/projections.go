// Package projections keeps the views in Redis: the projector.
//
//	eventlog.Tail ──► fold trees ──► config.Changes ──► one Lua step per change set and namespace, pipelined ──► Redis
//
// Exactly one projector is active: a Postgres session lock elects it, and a term fences it. Every Lua step checks epoch,
// term and position: a step that is repeated does nothing, one from an older term is refused, and one that does not fit
// on what Redis holds makes the projector rebuild that view. The checkpoint lives in Redis beside the data: a Redis that
// was emptied, restored, failed over or is older than the log is noticed, within a heartbeat, and rebuilt, view by view, each in one
// step, so that a reader never sees a key vanish.
//
// # How a loss is noticed
//
// The active projector knows at which position each view is. A step that does not fit says so at once. Each heartbeat
// first looks whether the one before is still there, and if it is not, all views are looked at; besides, each looks at
// some of them in turn, for one shard of a cluster may lose what the others keep. A new leader trusts the heartbeat
// of the one before, but not for long: it looks at the heads of all views at once, and compares each tree's views with the
// log before it first writes to them, or in turn while there is nothing else to do.
package projections

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/eventlog"
)

// Config configures a [Projector]; its zero value works.
type Config struct {
	Logger    *slog.Logger  // default: slog.Default
	Heartbeat time.Duration // default 1 s
	StreamLen int64         // entries kept in each stream, about; default 10,000
	CacheKeys int           // keys of folded trees kept in memory; default 1,000,000
}

func (cfg Config) withDefaults() Config {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Heartbeat <= 0 {
		cfg.Heartbeat = time.Second
	}
	if cfg.StreamLen <= 0 {
		cfg.StreamLen = 10_000
	}
	if cfg.CacheKeys <= 0 {
		cfg.CacheKeys = 1_000_000
	}
	return cfg
}

// Projector keeps the views in Redis up to date with the log.
type Projector struct {
	log   *eventlog.Log
	store store
	cfg   Config

	mu     sync.Mutex
	status Status
}

// New returns a projector. The caller owns log and rdb. The client must read from masters only, and its ReadTimeout
// bounds how long Run takes to return when Redis hangs: a second or two.
func New(log *eventlog.Log, rdb redis.UniversalClient, cfg Config) *Projector {
	return &Projector{log: log, store: store{rdb}, cfg: cfg.withDefaults()}
}

// Run stands by until it is elected, projects until it loses the election, and stands by again. It returns when ctx ends
// (nil), or with an error that needs a human: an event type it does not know ([*events.UnknownTypeError]). Everything
// before that event is projected.
func (p *Projector) Run(ctx context.Context) error {
	for {
		err := p.log.Lead(ctx, p.lead)
		if ctx.Err() != nil {
			return nil
		}
		if isUnknownType(err) {
			return err
		}
		p.cfg.Logger.Warn("projector steps down", "error", err)
		p.trouble(err)
		if pause(ctx, p.cfg.Heartbeat) != nil {
			return nil
		}
		p.standBy(ctx)
	}
}

// standBy takes the trouble back that ended a term, as soon as Postgres answers: it is over, or the next leader's. One that
// stands by is well; with an error it would be taken for broken until it leads again, which may be never.
func (p *Projector) standBy(ctx context.Context) {
	for wait := 100 * time.Millisecond; p.log.Ping(ctx) != nil; wait = min(2*wait, 2*time.Second) {
		if pause(ctx, wait) != nil {
			return
		}
	}
	p.trouble(nil)
}

// lead projects for as long as this process is elected.
func (p *Projector) lead(ctx context.Context, term int64) error {
	p.report(func(s *Status) { s.Active, s.Term, s.Err = true, term, nil })
	defer p.report(func(s *Status) { s.Active = false })
	p.cfg.Logger.Info("projector leads", "term", term)
	err := newSession(p, term).run(ctx)
	if err == nil || ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("project: %w", err)
}

// Status says what the projector does now.
type Status struct {
	Active   bool
	Term     int64
	Position int64 // projected
	Head     int64
	Err      error // why it does not get on at the moment
}

// Status may be called at any time.
func (p *Projector) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

func (p *Projector) report(change func(*Status)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.status)
}

func (p *Projector) trouble(err error) { p.report(func(s *Status) { s.Err = err }) }

// pause waits for d, give or take a half, or returns ctx's error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d/2 + rand.N(d))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
