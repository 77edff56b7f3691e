package eventlog

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

// Request is a change set to append, but for the decision.
type Request struct {
	Namespace events.Namespace
	Actor     string
	Reason    string
	Receipt   *Receipt // nil: no idempotent retry
}

// Receipt makes a retry of the same request find the answer of the first. Kept for at least 7 days. Only a change set
// that was accepted leaves one: one that was refused stored nothing, and its retry is decided anew.
type Receipt struct {
	Principal string   // whose keys these are
	Key       string   // the Idempotency-Key, 1 to 255 bytes
	Hash      [32]byte // SHA-256 of the request
}

// Decide returns the events that a change set causes in t, none if it changes nothing, or why it is refused. It is
// called with the tree that has everything before the change set, perhaps several times, from one goroutine at a time.
type Decide func(t config.Tree) ([]events.Event, error)

// Appended is the answer to a change set that was accepted.
type Appended struct {
	Namespace events.Namespace
	Revision  events.Revision // after the change set; unchanged if it had no events
	Position  events.Position // of its last event; if it had none, that up to which it was decided
	Events    int
	Time      time.Time // of its events; if it had none, that of the log's end when it was accepted
	Replayed  bool      // answered from a receipt
}

// Append decides and appends. Errors are decide's own, or those of this package. If ctx ends before the change set's turn
// has come, nothing is stored and ctx's error is returned; if it ends later, ErrUnknown.
func (l *Log) Append(ctx context.Context, req Request, decide Decide) (Appended, error) {
	if r := req.Receipt; r != nil && (r.Key == "" || len(r.Key) > maxReceiptKey) {
		return Appended{}, fmt.Errorf("idempotency key has %d bytes, not 1 to %d", len(r.Key), maxReceiptKey)
	}
	if decide == nil {
		return Appended{}, errors.New("append without a decision")
	}
	a, err := l.appender.post(ctx, &posting{Request: req, decide: decide})
	return a.Appended, err
}

const maxReceiptKey = 255

// posting is a change set, or a read of the present state, that waits for its answer.
type posting struct {
	Request
	decide  Decide // nil: only the present tree is wanted
	state   atomic.Int32
	again   bool // it was taken when a connection was lost; only the appender touches this
	answers chan answer
}

// The states of a posting. Whoever moves it on from waiting owns it: the appender, or the caller that gives up.
const (
	waiting int32 = iota
	taken
	dropped
)

type answer struct {
	Appended
	tree config.Tree
	err  error
}

// post hands p to the appender and waits for the answer.
func (a *appender) post(ctx context.Context, p *posting) (answer, error) {
	if err := ctx.Err(); err != nil {
		return answer{}, err
	}
	p.answers = make(chan answer, 1)
	if !a.enqueue(p) {
		return answer{}, ErrBusy
	}
	select {
	case ans := <-p.answers:
		return ans, ans.err
	case <-ctx.Done():
	}
	if p.state.CompareAndSwap(waiting, dropped) {
		a.pending.Add(-1)
		return answer{}, ctx.Err()
	}
	select {
	case ans := <-p.answers: // it came in the same moment
		return ans, ans.err
	default:
	}
	if p.decide == nil {
		return answer{}, ctx.Err()
	}
	return answer{}, fmt.Errorf("%w: %w", ErrUnknown, ctx.Err())
}
