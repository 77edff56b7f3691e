// Package view is the Redis contract of Holdfast, once: the names of the keys, the form of what they hold, and how to
// load a whole view. Any language may read what this package describes; a change of form needs a new prefix.
//
//	holdfast:{ns}:values   hash    key → entry (JSON)
//	holdfast:{ns}:view     hash    epoch, term, position, revision, keys, updated_at
//	holdfast:{ns}:changes  stream  one entry a change set, id <position>-0, in watermill-redisstream's format
//	holdfast:projector     hash    epoch, term, position, head, updated_at
//
// The view hash is there exactly when the view is complete, and its field keys equals the number of fields in the
// values hash: where the two differ, somebody tampered with the view, and [Load] says [ErrIncomplete] rather than
// showing keys as deleted.
package view

import (
	"errors"
	"strconv"
	"time"

	"github.com/holdfast-config/holdfast/events"
)

// ProjectorKey is the hash that the active projector renews: its heartbeat and checkpoint.
const ProjectorKey = "holdfast:projector"

// ValuesKey, HeadKey and ChangesKey name a namespace's values, view hash and stream. The braces are Redis' hash tag.
func ValuesKey(ns events.Namespace) string  { return "holdfast:{" + string(ns) + "}:values" }
func HeadKey(ns events.Namespace) string    { return "holdfast:{" + string(ns) + "}:view" }
func ChangesKey(ns events.Namespace) string { return "holdfast:{" + string(ns) + "}:changes" }

// Entry is an effective value as the values hash holds it.
type Entry struct {
	Value     events.Value    `json:"value"`
	Kind      events.Kind     `json:"kind"`
	Revision  events.Revision `json:"revision"` // of the namespace that From names, or that defined the default
	Position  events.Position `json:"position"` // of the event that gave the value
	From      string          `json:"from"`     // namespace that set it, or "default"
	Sensitive bool            `json:"sensitive,omitzero"`
}

// Head is the view hash: which history the view belongs to and up to where it goes.
type Head struct {
	Epoch     string
	Term      int64           // of the projector that wrote last
	Position  events.Position // of the last change set applied
	Revision  events.Revision // of the namespace at Position
	Keys      int             // fields in the values hash
	UpdatedAt time.Time
}

// Heartbeat is what the active projector says of itself, about once a second.
type Heartbeat struct {
	Epoch     string
	Term      int64
	Position  events.Position // every view in Redis includes all events up to here
	Head      events.Position // last position in the log that the projector knew of
	UpdatedAt time.Time       // by the projector's clock
}

// ChangeSet is the payload of a stream entry: a change set as it touches one view.
type ChangeSet struct {
	Epoch     string           `json:"epoch"`
	Term      int64            `json:"term"`
	Namespace events.Namespace `json:"namespace"`
	Position  events.Position  `json:"position"` // of the change set's last event
	Prev      events.Position  `json:"prev"`     // Position of the entry before; a reader elsewhere must load the view anew
	Revision  events.Revision  `json:"revision"` // of Namespace after it
	// Origin and OriginRevision name the change set itself: Namespace and Revision, or an ancestor's.
	Origin         events.Namespace `json:"origin"`
	OriginRevision events.Revision  `json:"origin_revision"`
	Actor          string           `json:"actor"`
	Reason         string           `json:"reason,omitzero"`
	Time           time.Time        `json:"time"`
	// Rebuilt marks an entry that the projector wrote when it put the whole view in place anew: it has no changes, and a
	// reader whose position is not Position must load the view.
	Rebuilt bool     `json:"rebuilt,omitzero"`
	Changes []Change `json:"changes"` // sorted by key
}

// Change is one key's new entry; nil: the key has no effective value any more.
type Change struct {
	Key   events.Key `json:"key"`
	Entry *Entry     `json:"entry"`
}

var (
	// ErrAbsent: Redis answers, but holds no view of the namespace. It says nothing about the keys.
	ErrAbsent = errors.New("view is absent")
	// ErrIncomplete: the values do not belong to the view hash. It says nothing about the keys.
	ErrIncomplete = errors.New("view is incomplete")
)

// StreamID is the id of the stream entry at pos: "<position>-0".
func StreamID(pos events.Position) string { return strconv.FormatInt(int64(pos), 10) + "-0" }
