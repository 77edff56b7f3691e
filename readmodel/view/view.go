// Package view is the Redis contract of Holdfast, once: the names of the keys, the form of what they hold, and how to
// load a whole view. Any language may read what this package describes; a change of form needs a new prefix.
//
//	holdfast:{ns}:values   hash    key → entry (JSON)
//	holdfast:{ns}:view     hash    epoch, term, position, revision, keys, updated_at; replay
//	holdfast:{ns}:changes  stream  one entry a change set, id <position>-0, in watermill-redisstream's format
//	holdfast:projector     hash    epoch, term, position, head, updated_at
//	holdfast:replay        hash    id, by, state, asked_at, started_at, ended_at, views, done, keys, position
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

// ValuesKey names the hash of a namespace's effective values: key → [Entry]. The braces in it, and in the names below, are
// Redis' hash tag.
func ValuesKey(ns events.Namespace) string { return "holdfast:{" + string(ns) + "}:values" }

// HeadKey names the hash that says what the values are: [Head].
func HeadKey(ns events.Namespace) string { return "holdfast:{" + string(ns) + "}:view" }

// ChangesKey names the stream of a namespace's change sets: an entry with the fields of [StreamFields] for each.
func ChangesKey(ns events.Namespace) string { return "holdfast:{" + string(ns) + "}:changes" }

// Entry is an effective value as the values hash holds it.
type Entry struct {
	Value     events.Value    `json:"value"`              // canonical JSON
	Kind      events.Kind     `json:"kind"`               // as it is defined; in an open namespace, as the value suggests
	Revision  events.Revision `json:"revision"`           // of the namespace that From names, or that defined the default
	Position  events.Position `json:"position"`           // of the event that gave the value
	From      string          `json:"from"`               // namespace that set it, or "default"
	Sensitive bool            `json:"sensitive,omitzero"` // as it is defined: not to be shown, logged or kept
}

// Head is the view hash: which history the view belongs to and up to where it goes.
type Head struct {
	Epoch     string          // of the history that positions count in
	Term      int64           // of the projector that wrote last
	Position  events.Position // of the last change set applied
	Revision  events.Revision // of the namespace at Position
	Keys      int             // fields in the values hash
	UpdatedAt time.Time       // by the projector's clock, in UTC
	// Replay is the ID of the last replay that put the view in place; empty: none did. Whoever loaded the view before,
	// when it was another, loads it anew: its values may have been wrong at the same position.
	Replay string
}

// Heartbeat is what the active projector says of itself, about once a second.
type Heartbeat struct {
	Epoch     string          // of the log that it projects
	Term      int64           // its own: Redis refuses what one of an older term writes
	Position  events.Position // every view in Redis includes all events up to here
	Head      events.Position // last position in the log that the projector knew of
	UpdatedAt time.Time       // by the projector's clock, in UTC
}

// ChangeSet is the payload of a stream entry: a change set as it touches one view.
type ChangeSet struct {
	Epoch     string           `json:"epoch"`     // of the history that positions count in
	Term      int64            `json:"term"`      // of the projector that wrote it; 0 in a watch
	Namespace events.Namespace `json:"namespace"` // whose view it touches
	Position  events.Position  `json:"position"`  // of the change set's last event
	Prev      events.Position  `json:"prev"`      // Position of the entry before; a reader elsewhere must load the view anew
	Revision  events.Revision  `json:"revision"`  // of Namespace after it
	// Origin and OriginRevision name the change set itself: Namespace and Revision, or an ancestor's.
	Origin         events.Namespace `json:"origin"`
	OriginRevision events.Revision  `json:"origin_revision"`
	Actor          string           `json:"actor"`           // who made it
	Reason         string           `json:"reason,omitzero"` // why; "": not said
	Time           time.Time        `json:"time"`            // when it was appended, by the clock of the log's database, in UTC
	// Rebuilt marks an entry that the projector wrote when it put the whole view in place anew: it has no changes, and a
	// reader whose position is not Position must load the view.
	Rebuilt bool     `json:"rebuilt,omitzero"`
	Changes []Change `json:"changes"` // sorted by key
}

// Change is one key's new entry; nil: the key has no effective value any more.
type Change struct {
	Key   events.Key `json:"key"`
	Entry *Entry     `json:"entry"` // nil is null, never left out
}

var (
	// ErrAbsent: Redis answers, but holds no view of the namespace. It says nothing about the keys.
	ErrAbsent = errors.New("view is absent")
	// ErrIncomplete: the values do not belong to the view hash, or something in it is not of its form. It says nothing about
	// the keys.
	ErrIncomplete = errors.New("view is incomplete")
)

// StreamID is the id of the stream entry at pos: "<position>-0".
func StreamID(pos events.Position) string { return strconv.FormatInt(int64(pos), 10) + "-0" }
