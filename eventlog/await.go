package eventlog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-config/holdfast/events"
)

// Await returns when the log has reached pos, or with ctx's error. However many wait, one of them looks at the database.
func (l *Log) Await(ctx context.Context, pos events.Position) error {
	head, err := l.Head(ctx)
	for {
		switch {
		case err == nil && head.Position >= pos:
			return nil
		case err != nil && !errors.Is(err, ErrUnavailable):
			return err
		}
		if head, err = l.looks.next(ctx, l); ctx.Err() != nil {
			return ctx.Err()
		} else if l.life.Err() != nil {
			return fmt.Errorf("%w: the log is closed", ErrUnavailable)
		}
	}
}

// looks are looks at the head, each for all that await a position at the time.
type looks struct {
	mu      sync.Mutex
	waiting *look // nil: nobody waits
}

// look is one to come. Its fields may be read when done is closed.
type look struct {
	done chan struct{}
	head Head
	err  error
}

// lookAfter is how long the first that waits is joined by others, before the look that answers them.
const lookAfter = 10 * time.Millisecond

// next returns what the next look sees, or an error if ctx ends first. Whoever comes when nobody waits has it done.
func (s *looks) next(ctx context.Context, l *Log) (Head, error) {
	s.mu.Lock()
	if s.waiting == nil {
		s.waiting = &look{done: make(chan struct{})}
		go s.look(l)
	}
	next := s.waiting
	s.mu.Unlock()
	select {
	case <-next.done:
		return next.head, next.err
	case <-ctx.Done():
		return Head{}, ctx.Err()
	}
}

func (s *looks) look(l *Log) {
	select {
	case <-time.After(lookAfter):
	case <-l.life.Done():
	}
	s.mu.Lock()
	now := s.waiting
	s.waiting = nil // who comes from now on could miss what is committed during this look
	s.mu.Unlock()
	now.head, now.err = l.Head(l.life)
	close(now.done)
}
