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
	Live     State = "live"     // the first source has confirmed that nothing is missing
	Log      State = "log"      // the source of latest events has: as fresh, while the first one can not
	Stale    State = "stale"    // none can: memory is served as it was
	Disk     State = "disk"     // none has since the start: the last snapshot on disk is served
	Defaults State = "defaults" // nor is there one: every key has the default that the program declares
)

// Fresh says whether a source confirms that nothing is missing.
func (s State) Fresh() bool { return s == Live || s == Log }

// silence is how long a source may go without confirming before it is taken to hang, whatever it believes.
const silence = 3 * time.Second

var (
	errSilent   = errors.New("the source has not confirmed what is shown")
	errUntried  = errors.New("no source has answered yet")
	errNothing  = errors.New("there is nothing to show but the program's defaults")
	errTooStale = errors.New("what is shown is too old")
)

// Status says how fresh the reader is.
type Status struct {
	Namespace   events.Namespace
	State       State           // how far what is shown can be trusted to be the newest
	Source      string          // name of the source that confirmed last, else of the first
	Epoch       string          // of the history that positions count in; "": nothing is shown
	Position    events.Position // shown
	Revision    events.Revision // of Namespace at Position
	Head        events.Position // last known end of the log
	LastContact time.Time       // as of when a source last confirmed what is shown, to this or to a former reader; zero: never
	Age         time.Duration   // since LastContact, or since Open; 0 while live or log
	Keys        int             // that have an effective value
	LeftOut     int             // sensitive values that the snapshot on disk does not have, with Disk
	Resyncs     int             // times the view had to be loaded anew
	Rejected    *Rejected       // the newest state, if it was vetoed and an older one is shown
	Vetoes      int             // states that were vetoed
	Refused     []Refused       // values that the program's own declarations refused, sorted by key
	Err         error           // why the reader is neither live nor log
}

// Status says how fresh the reader is at this moment. It may be called at any time, also after Close.
func (r *Reader) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.Snapshot()
	st := Status{
		Namespace: r.namespace, State: r.said.state, Source: r.said.source.Name(),
		Epoch: s.Epoch(), Position: s.Position(), Revision: s.Revision(), Keys: s.Len(),
		Head: max(r.said.head, s.Position()), LastContact: r.said.contact, Resyncs: r.resyncs,
		Rejected: r.rejection(), Vetoes: r.vetoes, Refused: s.refused(),
	}
	age := time.Since(r.opened)
	if !r.said.contact.IsZero() {
		age = max(0, time.Since(r.said.contact))
	}
	switch {
	case r.ctx.Err() != nil:
		st.State, st.Err = Stale, ErrClosed
	case !r.said.state.Fresh():
		st.State, st.Err = Stale, r.said.trouble
	case time.Since(r.said.heard) > silence:
		st.State, st.Err = Stale, fmt.Errorf("%w for %s", errSilent, time.Since(r.said.heard).Round(100*time.Millisecond))
	default:
		return st
	}
	st.Age = age
	if st.Err == nil {
		st.Err = errUntried
	}
	switch {
	case s == nil:
		st.State = Defaults
	case r.newest.after.onDisk():
		st.State, st.LeftOut = Disk, r.newest.after.disk.Left
	}
	return st
}

// Health returns nil while what is shown is confirmed, or has been within [Config.MaxStale]; else why not. It never asks a
// source.
func (r *Reader) Health() error {
	st := r.Status()
	limit := r.cfg.MaxStale
	switch {
	case st.State == Defaults:
		return fmt.Errorf("%s: %w: %w", st.Namespace, errNothing, st.Err)
	case !st.State.Fresh() && limit > 0 && st.Age > limit:
		return fmt.Errorf("%s: %w: confirmed %s ago, at most %s are allowed: %w",
			st.Namespace, errTooStale, st.Age.Round(time.Millisecond), limit, st.Err)
	}
	return nil
}

// logState tells the log of another state. Called with r.mu held.
func (r *Reader) logState(w word) {
	log := r.log.With("namespace", r.namespace, "source", w.source.Name(), "position", r.Snapshot().Position())
	if w.state.Fresh() {
		log.Info(string(w.state))
	} else {
		log.Warn(string(w.state), "error", w.trouble)
	}
}
