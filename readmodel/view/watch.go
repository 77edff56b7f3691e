package view

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/holdfast-config/holdfast/events"
)

// The events of GET /v1/namespaces/{ns}/watch, which brings a view live from the log while Redis is down. The data of
// [EventChange] is a [ChangeSet] as the stream in Redis has it, but for its term, which is 0, and its prev: the position
// that the watch had before it, by its last change or snapshot, or the one it resumed from.
const (
	EventSnapshot = "snapshot" // a Snapshot: the whole view. The id is its position
	EventChange   = "change"   // a ChangeSet. The id is its position
	EventBookmark = "bookmark" // a Bookmark: how far the watch is
	EventReset    = "reset"    // a Reset: the positions before are of another history. A snapshot follows
	EventOverflow = "overflow" // the last: the client was too slow. It may resume from its last id
	EventGoodbye  = "goodbye"  // the last: the server ends. It may resume from its last id, elsewhere or after a while
)

// Snapshot is a whole view.
type Snapshot struct {
	Epoch     string           `json:"epoch"` // of the history that positions count in
	Namespace events.Namespace `json:"namespace"`
	// Position is that of the last change set that can have touched the view: that of the view in Redis, or somewhat
	// more, if a change set in an ancestor left this view as it was.
	Position events.Position      `json:"position"`
	Revision events.Revision      `json:"revision"` // of Namespace at Position
	Values   map[events.Key]Entry `json:"values"`   // effective ones, as the values hash has them
}

// Head is the snapshot's view hash.
func (s Snapshot) Head() Head {
	return Head{Epoch: s.Epoch, Position: s.Position, Revision: s.Revision, Keys: len(s.Values)}
}

// Bookmark says that nothing up to Position is missing from what was sent, as the log was just found to be.
type Bookmark struct {
	Epoch    string          `json:"epoch"`    // of the history that positions count in
	Position events.Position `json:"position"` // up to here nothing is missing
	Head     events.Position `json:"head"`     // where the log ends
}

// Reset says which history the log has.
type Reset struct {
	Epoch string `json:"epoch"` // the new one
}

// AppendSnapshotOpen begins a snapshot that is written in parts, so that a large one need not be in memory: an
// [AppendSnapshotEntry] for each key and [SnapshotEnd] follow. The Values of s do not matter.
func AppendSnapshotOpen(b []byte, s Snapshot) []byte {
	b = append(append(b, `{"epoch":"`...), appendText(nil, s.Epoch)...)
	b = append(append(b, `","namespace":"`...), s.Namespace...)
	b = strconv.AppendInt(append(b, `","position":`...), int64(s.Position), 10)
	b = strconv.AppendInt(append(b, `,"revision":`...), int64(s.Revision), 10)
	return append(b, `,"values":{`...)
}

// AppendSnapshotEntry is one key of a snapshot; n counts them from 0.
func AppendSnapshotEntry(b []byte, n int, key events.Key, e Entry) []byte {
	if n > 0 {
		b = append(b, ',')
	}
	b = append(append(append(b, '"'), key...), `":`...)
	return append(b, EncodeEntry(e)...)
}

// SnapshotEnd ends what AppendSnapshotOpen began.
const SnapshotEnd = "}}"

// ParseSnapshot reads the data of a snapshot. Members that it does not know are ignored. It fails for one without an epoch or
// values, or with an entry that has no value; errors never repeat values.
func ParseSnapshot(data []byte) (Snapshot, error) {
	var s Snapshot
	if err := json.Unmarshal(data, &s); err != nil {
		return Snapshot{}, fmt.Errorf("decode snapshot: %w", withoutText(err))
	}
	if s.Epoch == "" || s.Position < 0 || s.Values == nil {
		return Snapshot{}, errors.New("decode snapshot: it has no epoch, position or values")
	}
	if _, err := events.ParseNamespace(string(s.Namespace)); err != nil {
		return Snapshot{}, fmt.Errorf("decode snapshot: %w", err)
	}
	for key, e := range s.Values {
		if e.Value == "" {
			return Snapshot{}, fmt.Errorf("decode snapshot: the entry of key %q has no value", key)
		}
	}
	return s, nil
}

// ParseBookmark reads the data of a bookmark. It fails for one without an epoch, or with a position beyond the head.
func ParseBookmark(data []byte) (Bookmark, error) {
	var b Bookmark
	if err := json.Unmarshal(data, &b); err != nil {
		return Bookmark{}, fmt.Errorf("decode bookmark: %w", withoutText(err))
	}
	if b.Epoch == "" || b.Position < 0 || b.Head < b.Position {
		return Bookmark{}, errors.New("decode bookmark: it has no epoch, or a position beyond the head")
	}
	return b, nil
}
