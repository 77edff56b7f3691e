package readmodel

import (
	"errors"
	"fmt"
	"slices"

	"github.com/holdfast-config/holdfast/events"
)

// Mismatch is what a reader does about a declared key that the namespace does not know, or knows to be of a kind whose
// values the declaration can not take.
type Mismatch int

const (
	Warn   Mismatch = iota // the log is told
	Refuse                 // opening or binding fails with [ErrMismatch]
	Ignore                 // nothing
)

// ErrMismatch is the error of [Open] and [Bind] for a declared key that does not fit the namespace.
var ErrMismatch = errors.New("declared keys do not fit the namespace")

// takes are the kinds of definitions whose values a declaration of a kind can take. Durations and sizes are texts where
// a namespace that is open has inferred the kind from the value. A json key takes everything.
var takes = map[events.Kind][]events.Kind{
	events.Bool:     {events.Bool},
	events.Int:      {events.Int},
	events.Float:    {events.Float, events.Int},
	events.String:   {events.String, events.Duration, events.Size},
	events.Duration: {events.Duration, events.String},
	events.Size:     {events.Size, events.Int, events.String},
}

// compare compares declared keys with what the newest snapshot says of the definitions: the kinds of its entries. A key
// that has no entry is defined without a default and was never set, or not defined at all.
func (r *Reader) compare(declared []Declared) error {
	s := r.Snapshot()
	if r.cfg.Mismatch == Ignore || s.Epoch() == "" {
		return nil
	}
	var wrong []error
	for _, d := range declared {
		name, kind := events.Key(d.Name()), d.declaredKind()
		it := s.item(name)
		switch {
		case it == nil:
			wrong = append(wrong, fmt.Errorf("key %q has neither a value nor a default in %s: is it defined there?", name, r.namespace))
		case kind != events.JSON && !slices.Contains(takes[kind], it.Kind):
			wrong = append(wrong, fmt.Errorf("key %q is of kind %s in %s, declared as %s", name, it.Kind, r.namespace, kind))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	if r.cfg.Mismatch == Refuse {
		return fmt.Errorf("%w: %w", ErrMismatch, errors.Join(wrong...))
	}
	for _, err := range wrong {
		r.log.Warn("declared key does not fit the namespace", "error", err)
	}
	return nil
}
