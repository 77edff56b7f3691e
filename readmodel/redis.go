package readmodel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/redisurl"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// How long the Redis source waits for what. A Redis that hangs is noticed within a beat and an answer.
const (
	answerTime = 500 * time.Millisecond // to connect, and for one look at view and heartbeat
	loadTime   = 15 * time.Second       // for a whole view
	beat       = time.Second            // between looks
	askedBeat  = 20 * time.Millisecond  // between looks while somebody waits for a position
	patience   = time.Second            // for the stream to deliver what the view already has
	beatLost   = 5 * time.Second        // without a new heartbeat: the projector is not there
)

// redisSource reads the views that the projector keeps in Redis.
type redisSource struct {
	options redis.UniversalOptions
	where   string // for errors: "redis at host:port"
	log     *slog.Logger
	ctx     context.Context // ends at Close
	cancel  context.CancelFunc

	reports reports

	// The newest heartbeat and when it came, by the clock of this process: the projector's may be another.
	heartbeat view.Heartbeat
	beatAt    time.Time

	replay string // of the view that was loaded last: see [view.Head]
}

func newRedisSource(url string, log *slog.Logger) (*redisSource, error) {
	options, err := redisurl.Parse(url)
	if err != nil {
		return nil, err
	}
	s := &redisSource{options: *options, where: "redis at " + strings.Join(options.Addrs, ","), log: log}
	s.reports.log = log
	s.ctx, s.cancel = context.WithCancel(context.Background())
	// One try each, with the time that the caller's context gives: the reader itself tries again.
	s.options.ContextTimeoutEnabled = true
	s.options.MaxRetries = -1
	s.options.DialerRetries = 1
	s.options.DialTimeout = answerTime
	s.options.PoolTimeout = answerTime
	s.options.WriteTimeout = answerTime
	s.options.ReadTimeout = loadTime
	s.options.PoolSize = 4
	s.options.MinIdleConns = 0
	s.options.PipelinePoolSize = -1 // no second pool of connections, for the one transaction that loads a view
	s.options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return s, nil
}

func (s *redisSource) Name() string { return "redis" }

func (s *redisSource) Close() error {
	s.cancel()
	return nil
}

func (s *redisSource) Follow(ctx context.Context, ns events.Namespace, have view.Head, sink Sink) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	rdb := s.client()
	defer rdb.Close()
	defer context.AfterFunc(ctx, func() { rdb.Close() })() // the end of ctx alone does not end a read

	f := &following{source: s, rdb: rdb, namespace: ns, sink: sink, at: have}
	for {
		if err := f.align(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.where, err)
		}
		if f.stuck {
			continue // the view became another while it was loaded
		}
		if err := f.stream(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.where, err)
		}
	}
}

// client returns a client of its own: the library's subscriber closes the one it is given.
func (s *redisSource) client() redis.UniversalClient {
	options := s.options
	return redis.NewUniversalClient(&options)
}

// sight is what one look at Redis saw. Where the epoch of beat or head is empty, Redis does not hold it.
type sight struct {
	at   view.Head // where the sink was before
	beat view.Heartbeat
	head view.Head
	err  error
}

// upTo is the position up to which the view is complete: a heartbeat speaks for views that did not change since, too.
func (s sight) upTo() events.Position {
	if s.beat.Epoch == s.head.Epoch {
		return max(s.head.Position, s.beat.Position)
	}
	return s.head.Position
}

// look reads the heartbeat first and then the view: what the heartbeat says of all views then holds for this one. One
// after the other, since in a cluster they are on different nodes.
func (f *following) look(ctx context.Context, at view.Head) sight {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	got := sight{at: at}
	if got.beat, got.err = view.LoadHeartbeat(ctx, f.rdb); got.err != nil && !errors.Is(got.err, view.ErrAbsent) {
		return got
	}
	if got.head, got.err = view.LoadHead(ctx, f.rdb, f.namespace); errors.Is(got.err, view.ErrAbsent) {
		got.err = nil
	}
	return got
}

// note remembers when a heartbeat came that is not the one before.
func (s *redisSource) note(b view.Heartbeat) {
	if b != s.heartbeat || s.beatAt.IsZero() {
		s.heartbeat, s.beatAt = b, time.Now()
	}
}

// trust says why a heartbeat says nothing about a view of the epoch, or nil.
func (s *redisSource) trust(b view.Heartbeat, epoch string) error {
	since := time.Since(s.beatAt)
	switch {
	case b.Epoch == "":
		return errors.New("no projector has said that it keeps the views up to date: is one running on this redis?")
	case b.Epoch != epoch:
		return fmt.Errorf("the projector works on history %s, the view is of %s: waiting until it is rebuilt", b.Epoch, epoch)
	case since > beatLost:
		return fmt.Errorf("the projector has not renewed its heartbeat for %s: are it and its postgres running?", since.Round(time.Second))
	}
	return nil
}

// noView says why there may be no view.
func noView(ns events.Namespace, b view.Heartbeat) error {
	if b.Epoch == "" {
		return fmt.Errorf("it holds neither a view of %s nor a projector's heartbeat: is a projector running on this redis?", ns)
	}
	return fmt.Errorf("it holds no view of %s: the namespace does not exist, or is yet to be projected (the projector is at %d of %d)",
		ns, b.Position, b.Head)
}
