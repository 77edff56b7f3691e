package readmodeltest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

const epoch = "00000000-0000-4000-8000-000000000000"

// beat is how often the source confirms, as a live one does.
const beat = time.Second

var errDisconnected = errors.New("disconnected by the test")

// source is a namespace in memory: all of its change sets, which the reader is given as far as it is connected.
type source struct {
	mu        sync.Mutex
	first     map[events.Key]readmodel.Entry
	sets      []view.ChangeSet // at positions 2, 3, …
	connected bool
	wake      chan struct{} // something is to be done
	done      chan struct{} // closed when something was done, then another
}

func newSource(values []readmodel.Setting) *source {
	s := &source{first: map[events.Key]readmodel.Entry{}, connected: true, wake: make(chan struct{}, 1), done: make(chan struct{})}
	for _, v := range values {
		s.first[v.Key] = entry(v, 1)
	}
	return s
}

func entry(v readmodel.Setting, pos events.Position) readmodel.Entry {
	return readmodel.Entry{Value: v.Value, Kind: v.Kind, Revision: events.Revision(pos), Position: pos, From: Namespace}
}

// change appends a change set; nil unsets. It returns its position, and whether the reader is connected to see it.
func (s *source) change(changes map[events.Key]*readmodel.Setting) (events.Position, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pos := s.head() + 1
	cs := view.ChangeSet{
		Epoch: epoch, Term: 1, Namespace: Namespace, Position: pos, Prev: pos - 1, Revision: events.Revision(pos),
		Origin: Namespace, OriginRevision: events.Revision(pos), Actor: "test", Time: time.Now(),
	}
	for _, key := range slices.Sorted(maps.Keys(changes)) {
		c := view.Change{Key: key}
		if v := changes[key]; v != nil {
			e := entry(*v, pos)
			c.Entry = &e
		}
		cs.Changes = append(cs.Changes, c)
	}
	s.sets = append(s.sets, cs)
	s.nudge()
	return pos, s.connected
}

// connect returns the position of the last change set.
func (s *source) connect(yes bool) events.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connected = yes
	s.nudge()
	return s.head()
}

// head and nudge are called with s.mu held.
func (s *source) head() events.Position { return events.Position(len(s.sets) + 1) }

func (s *source) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// handled returns a channel that is closed when the source has done something again.
func (s *source) handled() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nudge()
	return s.done
}

func (s *source) Name() string { return "memory" }
func (s *source) Close() error { return nil }

// Follow implements [readmodel.Source].
func (s *source) Follow(ctx context.Context, _ events.Namespace, have view.Head, sink readmodel.Sink) error {
	at := have.Position
	if have.Epoch == "" {
		sink.Load(view.Head{Epoch: epoch, Term: 1, Position: 1, Revision: 1, Keys: len(s.first)}, s.first)
		at = 1
	}
	again := time.NewTicker(beat)
	defer again.Stop()
	for {
		at = s.bring(at, sink)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.wake:
		case <-again.C:
		}
	}
}

// bring gives the sink what it lacks, and returns where it then is.
func (s *source) bring(at events.Position, sink readmodel.Sink) events.Position {
	s.mu.Lock()
	connected, sets := s.connected, s.sets[at-1:]
	s.mu.Unlock()
	if connected {
		for _, cs := range sets {
			sink.Apply(cs)
			at = cs.Position
		}
		sink.Confirm(at, at, time.Now())
	} else {
		sink.Doubt(errDisconnected)
	}
	s.mu.Lock()
	close(s.done)
	s.done = make(chan struct{})
	s.mu.Unlock()
	return at
}
