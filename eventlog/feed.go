package eventlog

import (
	"sync"
	"sync/atomic"

	"github.com/holdfast-config/holdfast/events"
)

// feed hands the change sets that this process's appender has committed to the tails of the same Log, so that they need
// not wait for a notification and read back what was just written. Positions say whether a hand-over fits: what other
// processes wrote leaves a gap, and the tail reads the database.
type feed struct {
	// writer is the process id of the appender's backend. Its notifications say nothing that the feed does not.
	writer atomic.Uint32
	hinted atomic.Bool // that backend wants hints

	mu    sync.Mutex
	takes map[*intake]struct{}
}

// intake is what one tail has been handed and has not taken yet.
type intake struct {
	ready chan struct{} // holds one when there is something to take

	mu   sync.Mutex
	evs  []events.Recorded // consecutive, in whole change sets
	head Head
	lost bool // something was not handed over: the database has to be looked at
}

func (f *feed) join() *intake {
	in := &intake{ready: make(chan struct{}, 1)}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.takes == nil {
		f.takes = map[*intake]struct{}{}
	}
	f.takes[in] = struct{}{}
	return in
}

func (f *feed) leave(in *intake) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.takes, in)
}

// publish hands over committed events, in whole change sets and in order; none: something may have been committed that
// the appender does not know of. It never waits.
func (f *feed) publish(evs []events.Recorded, head Head) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for in := range f.takes {
		in.add(evs, head)
	}
}

func (in *intake) add(evs []events.Recorded, head Head) {
	in.mu.Lock()
	defer in.mu.Unlock()
	n := len(in.evs)
	fits := len(evs) > 0 && n+len(evs) <= maxPage && (n == 0 || in.evs[n-1].Position+1 == evs[0].Position)
	if in.lost = in.lost || !fits; in.lost {
		in.evs = nil
	} else {
		in.evs, in.head = append(in.evs, evs...), head
	}
	select {
	case in.ready <- struct{}{}:
	default:
	}
}

// take empties the intake. Not ok: the database has to be looked at.
func (in *intake) take() (evs []events.Recorded, head Head, ok bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	evs, head, ok = in.evs, in.head, !in.lost
	in.evs, in.lost = nil, false
	return evs, head, ok
}
