package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
)

// Line is a line of the log as it is exported: newline-delimited JSON. The first line has the newest checkpoint, and
// nothing else; the others have the events up to there, in order, each with the exact bytes of its row.
type Line struct {
	Checkpoint string `json:"checkpoint,omitempty"`

	Position  events.Position  `json:"position,omitempty"`
	Namespace events.Namespace `json:"namespace,omitempty"`
	Revision  events.Revision  `json:"revision,omitempty"`
	Type      string           `json:"type,omitempty"`
	Key       events.Key       `json:"key,omitempty"`
	Data      string           `json:"data,omitempty"` // JSON, as text: its bytes count
	Actor     string           `json:"actor,omitempty"`
	Reason    string           `json:"reason,omitempty"`
	At        int64            `json:"at,omitempty"` // microseconds since 1970 in UTC

	// DataSHA256 stands in place of the data, in hexadecimal, where that is not for whoever asked: the leaf has no more of it.
	DataSHA256 string `json:"data_sha256,omitempty"`
}

// LineOf returns the line of a row; masked: without the data.
func LineOf(r eventlog.Row, masked bool) Line {
	l := Line{
		Position: r.Position, Namespace: r.Namespace, Revision: r.Revision, Type: r.Type, Key: r.Key,
		Actor: r.Actor, Reason: r.Reason, At: r.Time.UnixMicro(),
	}
	if masked {
		data := sha256.Sum256(r.Data)
		l.DataSHA256 = hex.EncodeToString(data[:])
	} else {
		l.Data = string(r.Data)
	}
	return l
}

// masked says that the data is not shown.
func (l Line) masked() bool { return l.DataSHA256 != "" }

// hash returns the hash of the line's leaf.
func (l Line) hash() (tlog.Hash, error) {
	row := eventlog.Row{
		Stored:   events.Stored{Type: l.Type, Key: l.Key, Data: []byte(l.Data)},
		Position: l.Position, Namespace: l.Namespace, Revision: l.Revision, Actor: l.Actor, Reason: l.Reason,
		Time: time.UnixMicro(l.At),
	}
	if !l.masked() {
		return LeafHash(row), nil
	}
	var data digest
	given, err := hex.DecodeString(l.DataSHA256)
	if err != nil || len(given) != len(data) {
		return tlog.Hash{}, errors.New("data_sha256 is no SHA-256")
	}
	copy(data[:], given)
	return leafHash(row, data), nil
}

// Append appends the line, with its end, to b.
func (l Line) Append(b []byte) ([]byte, error) {
	buf := bytes.NewBuffer(b)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(l)
	return buf.Bytes(), err
}

// MaxLineBytes is the longest that a line can be: the data of an event, every byte of it escaped.
const MaxLineBytes = 6*events.MaxChangeSetBytes + 1<<20

// ParseLine reads a line.
func ParseLine(text []byte) (Line, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	var l Line
	if err := dec.Decode(&l); err != nil {
		return Line{}, fmt.Errorf("not a line of an exported log: %w", err)
	}
	if dec.More() {
		return Line{}, errors.New("not a line of an exported log: it has more than one value")
	}
	switch {
	case l == Line{Checkpoint: l.Checkpoint} && l.Checkpoint != "":
	case l.Checkpoint == "" && l.Position != 0 && (l.Data == "") == l.masked():
	default:
		return Line{}, errors.New("not a line of an exported log: it is neither a checkpoint nor an event")
	}
	return l, nil
}
