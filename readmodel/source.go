package readmodel

import (
	"context"
	"time"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// Source is where readers get their view from: Redis, and whatever can stand in for it. A source belongs to one reader, or
// to several that share it, and is used from one goroutine at a time. It confirms about once a second, also when nothing
// changes: one that has not for 3 s is taken to hang.
type Source interface {
	// Name is a short word for Status: "redis".
	Name() string

	// Follow brings sink up to date and keeps it so. The sink is at the position that have says (no epoch: it has
	// nothing): Follow loads the view into the sink unless the stream goes on from there, and then passes every change
	// set in order. Each Load is followed by a Confirm or a Doubt. It returns when ctx ends, or with an error when it
	// can not go on; the reader calls it again after a pause.
	Follow(ctx context.Context, ns events.Namespace, have view.Head, sink Sink) error

	// Close frees what the source holds. It makes a Follow that runs return. It is called once, when the last reader closes.
	Close() error
}

// Sink takes what a source delivers. Readers implement it.
type Sink interface {
	// Load replaces the view. It refuses (false) a view that would go back within the epoch; one that is the same as a later
	// snapshot on disk does not.
	Load(head view.Head, entries map[events.Key]Entry) bool
	// Apply applies one change set; one that is not after what the sink has is skipped. False: its Prev is not what the
	// sink has, and the source must Load.
	Apply(cs view.ChangeSet) bool
	// Confirm says that the source has just answered, and learned at a time that the log ends at head, and that nothing
	// up to position is missing from what was delivered. The reader is live.
	Confirm(position, head events.Position, at time.Time)
	// Doubt says that the source answers but can not confirm what was delivered, and why. The reader is stale until the
	// next Confirm.
	Doubt(why error)
	// Asked delivers while somebody waits for a position that is not confirmed: the source should look at once, and as
	// often as it can afford, not only when its beat is due.
	Asked() <-chan struct{}
}
