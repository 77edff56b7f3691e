package readmodel

import (
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-config/holdfast/events"
)

// State says how far the values can be trusted to be the newest.
type State string

const (
	Live  State = "live"  // the source answers and has confirmed that nothing is missing
	Stale State = "stale" // it does not, or can not: memory is served as it was
)

// silence is how long a source may go without confirming before the reader calls itself stale, whatever the source
// believes. A source confirms about once a second.
const silence = 3 * time.Second

var errSilent = errors.New("the source has not confirmed what is shown")

// Status says how fresh the reader is.
type Status struct {
	Namespace   events.Namespace
	State       State
	Source      string // name of the source
	Epoch       string
	Position    events.Position // shown
	Revision    events.Revision
	Head        events.Position // last known end of the log
	LastContact time.Time       // when the source last confirmed what is shown; zero: never
	Age         time.Duration   // since LastContact, or since Open; 0 while live
	Keys        int
	Resyncs     int   // times the view had to be loaded anew
	Err         error // why the reader is not live
}

// Status may be called at any time.
func (r *Reader) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.Snapshot()
	st := Status{
		Namespace: r.namespace, State: Live, Source: r.source.Name(),
		Epoch: s.Epoch(), Position: s.Position(), Revision: s.Revision(), Keys: s.Len(),
		Head: max(r.head, s.Position()), LastContact: r.contact, Resyncs: r.resyncs,
	}
	age := time.Since(r.opened)
	if !r.contact.IsZero() {
		age = time.Since(r.contact)
	}
	switch {
	case r.ctx.Err() != nil:
		st.State, st.Age, st.Err = Stale, age, ErrClosed
	case r.state != Live:
		st.State, st.Age, st.Err = Stale, age, r.trouble
	case age > silence:
		st.State, st.Age, st.Err = Stale, age, fmt.Errorf("%w for %s", errSilent, age.Round(100*time.Millisecond))
	}
	return st
}

// setLive and setStale are called with r.mu held. They log when the state changes, not at every retry.
func (r *Reader) setLive() {
	if r.state != Live {
		r.log.Info("live", "namespace", r.namespace, "source", r.source.Name(), "position", r.Snapshot().Position())
	}
	r.state, r.trouble, r.contact = Live, nil, time.Now()
}

func (r *Reader) setStale(why error) {
	if r.state != Stale {
		r.log.Warn("stale", "namespace", r.namespace, "source", r.source.Name(), "position", r.Snapshot().Position(), "error", why)
	}
	r.state, r.trouble = Stale, why
}
