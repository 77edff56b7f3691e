// Package projections keeps the views in Redis: the projector.
//
//	eventlog.Tail ──► fold trees ──► config.Changes ──► one Lua step per change set and namespace, pipelined ──► Redis
//
// Exactly one projector is active: a Postgres session lock elects it, and a term fences it. Every Lua step checks epoch,
// term and position: a step that is repeated does nothing, one from an older term is refused, and one that does not fit
// on what Redis holds makes the projector rebuild that view. The checkpoint lives in Redis beside the data: a Redis that
// was emptied, restored, failed over or is older than the log is noticed, within a heartbeat, and rebuilt, view by view, each in one
// step, so that a reader never sees a key vanish.
package projections

import (
	"context"
	"log/slog"
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

// Projector keeps the views in Redis up to date with the log.
type Projector struct{}

// New returns a projector. The caller owns log and rdb.
func New(log *eventlog.Log, rdb redis.UniversalClient, cfg Config) *Projector { panic("unwritten") }

// Run stands by until it is elected, projects until it loses the election, and stands by again. It returns when ctx ends
// (nil), or with an error that needs a human: an event type it does not know.
func (p *Projector) Run(ctx context.Context) error { panic("unwritten") }

// Status says what the projector does now.
type Status struct {
	Active   bool
	Term     int64
	Position int64 // projected
	Head     int64
	Err      error // why it does not get on at the moment
}

// Status may be called at any time.
func (p *Projector) Status() Status { panic("unwritten") }
