package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/sse"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// prevMember is where a change's prev goes. Within a JSON string its quotes would be escaped.
var prevMember = []byte(`,"prev":`)

// changeMessage encodes what a change set does to one view.
func changeMessage(epoch string, cs []events.Recorded, vc config.ViewChange) (message, error) {
	first, last := cs[0], cs[len(cs)-1]
	payload := view.ChangeSet{
		Epoch: epoch, Namespace: vc.Namespace, Position: last.Position, Revision: vc.Revision,
		Origin: last.Namespace, OriginRevision: last.Revision,
		Actor: first.Actor, Reason: first.Reason, Time: first.Time, Changes: make([]view.Change, len(vc.Changes)),
	}
	for i, c := range vc.Changes {
		payload.Changes[i].Key = c.Key
		if c.New != nil {
			payload.Changes[i].Entry = new(view.Entry(*c.New))
		}
	}
	data, err := view.EncodeChangeSet(payload)
	if err != nil {
		return message{}, fmt.Errorf("change set at position %d on %s: %w", last.Position, vc.Namespace, err)
	}
	before, after, _ := bytes.Cut(data, append(prevMember, '0'))
	head := sse.AppendOpen(nil, view.EventChange, idOf(last.Position))
	return message{
		head: append(append(head, before...), prevMember...), tail: append(after, sse.End...),
		position: last.Position,
	}, nil
}

// bookmark is an event that says how far a watch is, encoded once for all watchers.
type bookmark struct {
	event    []byte
	position events.Position
}

func newBookmark(epoch string, position, head events.Position) *bookmark {
	data := view.Bookmark{Epoch: epoch, Position: position, Head: max(head, position)}
	return &bookmark{plainEvent(view.EventBookmark, data), position}
}

// plainEvent encodes an event that has no id: a client that resumes does so from the last change or snapshot.
func plainEvent(name string, data any) []byte {
	text, err := json.Marshal(data)
	if err != nil {
		panic(err) // a struct of strings and numbers
	}
	return sse.Append(nil, name, "", text)
}

func idOf(position events.Position) string { return strconv.FormatInt(int64(position), 10) }
