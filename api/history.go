package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
)

// Order says which events come first.
type Order string

const (
	Oldest Order = "oldest"
	Newest Order = "newest"
)

// InFilter selects events.
type InFilter struct {
	Actor string `query:"actor" maxLength:"256" doc:"Only what this actor wrote"`
	Type  string `query:"type" maxLength:"512" doc:"Only events of these types, joined by commas: value.set, key.removed"`
	Since string `query:"since" maxLength:"64" doc:"Only from this time (2026-11-20T10:00:00Z) or position (@345) on"`
	Until string `query:"until" maxLength:"64" doc:"Only up to this time or position, itself included"`
}

// InKeyFilter selects events of a namespace.
type InKeyFilter struct {
	Key       string `query:"key" doc:"Only events about this key"`
	Ancestors bool   `query:"ancestors" doc:"Events of the namespaces that this one's name extends, too"`
}

func (in InKeyFilter) of(path InNamespace) (q eventlog.Query, err error) {
	if q.Namespace, err = path.namespace(); err != nil {
		return q, err
	}
	q.Above = in.Ancestors
	if in.Key != "" {
		if q.Key, err = events.ParseKey(in.Key); err != nil {
			return q, badParameter("query.key", err.Error())
		}
	}
	return q, nil
}

// filter adds to a query what a request filters by.
func (s *server) filter(ctx context.Context, in InFilter, q eventlog.Query) (eventlog.Query, error) {
	q.Actor = in.Actor
	for name := range strings.SplitSeq(in.Type, ",") {
		if name == "" {
			continue
		}
		i := slices.IndexFunc(events.Types, func(typ string) bool { return typ == name || strings.HasPrefix(typ, name+".v") })
		if i < 0 {
			return q, badParameter("query.type", "has one that is no event type, such as value.set")
		}
		q.Types = append(q.Types, events.Types[i])
	}
	var err error
	if in.Since != "" {
		if q.After, err = s.bound(ctx, "since", in.Since, true); err != nil {
			return q, err
		}
	}
	if in.Until != "" {
		if q.Until, err = s.bound(ctx, "until", in.Until, false); err == nil && q.Until == 0 {
			q.After = endless // before all events: there are none
		}
	}
	return q, err
}

// passed makes a query go on after a position, in its order.
func passed(q *eventlog.Query, pos events.Position) {
	switch {
	case !q.Newest:
		q.After = max(q.After, pos)
	case pos <= 1:
		q.After = endless // there is nothing before it
	case q.Until == 0 || pos <= q.Until:
		q.Until = pos - 1
	}
}

// InHistory selects change sets.
type InHistory struct {
	InMin
	InFilter
	InReveal
	Order  Order  `query:"order" enum:"oldest,newest" default:"newest" doc:"What comes first"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Change sets on a page, at most; it has fewer where they are large. A stream has all"`
	Cursor string `query:"cursor" maxLength:"64" doc:"next of the page before; all else must be asked for as there"`
	Accept string `header:"Accept" doc:"application/x-ndjson: all change sets, one a line, as a stream"`
}

type historyInput struct {
	InNamespace
	InKeyFilter
	InHistory
}

type storeHistoryInput struct{ InHistory }

// History is the answer to GET /v1/history and …/history.
type History struct {
	History []ChangeSet `json:"history"`
	Next    string      `json:"next,omitempty" doc:"To be passed as cursor for the next page; absent on the last one"`
}

// ChangeSet is what was posted together, as far as it was asked for.
type ChangeSet struct {
	Namespace    events.Namespace          `json:"namespace"`
	Revision     events.Revision           `json:"revision"`
	Position     events.Position           `json:"position" doc:"Of its last event here"`
	Time         time.Time                 `json:"time"`
	Actor        string                    `json:"actor"`
	Reason       string                    `json:"reason,omitempty"`
	RestoredFrom *events.NamespaceRestored `json:"restored_from,omitempty" doc:"What it brought back"`
	Changes      []Change                  `json:"changes"`
}

// Change is an event, with what the namespace itself had for the key before and after it.
type Change struct {
	Position events.Position `json:"position"`
	Type     string          `json:"type"`
	Key      events.Key      `json:"key,omitempty" doc:"Absent in events about the namespace itself"`
	Old      *Held           `json:"old,omitempty" doc:"Absent: nothing"`
	New      *Held           `json:"new,omitempty" doc:"Absent: nothing"`
	Omitted  bool            `json:"omitted,omitzero" doc:"Old and new are left out, since the change set has more than 8 MiB of them"`
	Data     json.RawMessage `json:"data,omitempty" doc:"Of an event about the namespace itself: the rest of it"`
}

func (s *server) histories() {
	for _, route := range []struct{ id, path, summary string }{
		{"list-history", "/v1/namespaces/{namespace}/history", "Change sets of a namespace, with what each replaced"},
		{"list-all-history", "/v1/history", "Change sets of the whole store, with what each replaced"},
	} {
		op := huma.Operation{OperationID: route.id, Method: http.MethodGet, Path: route.path, Summary: route.summary}
		answerAlso[History](s, &op, "200", "A page, or with Accept: application/x-ndjson all of it, a change set a line")
		op.Responses["200"].Content[ndjson] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
		if route.id == "list-history" {
			register(s, op, s.history)
		} else {
			register(s, op, s.storeHistory)
		}
	}
}

func (s *server) history(ctx context.Context, in *historyInput) (*huma.StreamResponse, error) {
	query, err := in.InKeyFilter.of(in.InNamespace)
	if err != nil {
		return nil, err
	}
	if err := s.reachIn(ctx, in.InMin); err != nil {
		return nil, err
	}
	if _, _, err := s.tree(ctx, query.Namespace); err != nil {
		return nil, err
	}
	return s.answerHistory(ctx, in.InHistory, query)
}

func (s *server) storeHistory(ctx context.Context, in *storeHistoryInput) (*huma.StreamResponse, error) {
	if err := s.reachIn(ctx, in.InMin); err != nil {
		return nil, err
	}
	return s.answerHistory(ctx, in.InHistory, eventlog.Query{})
}

// answerHistory answers the change sets that query selects, a page of them or all as a stream.
func (s *server) answerHistory(ctx context.Context, in InHistory, query eventlog.Query) (*huma.StreamResponse, error) {
	query, err := s.filter(ctx, in.InFilter, query)
	if err != nil {
		return nil, err
	}
	query.Newest = in.Order == Newest
	if in.Cursor != "" {
		at, err := readCursor(in.Cursor, in.Order)
		if err != nil {
			return nil, err
		}
		passed(&query, at)
	}
	stream := accepts(in.Accept, ndjson)
	if stream {
		in.Limit = streamAtOnce
	}
	page, err := s.historyPage(ctx, in, &query)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		if stream {
			s.streamHistory(c, in, query, page)
			return
		}
		c.SetHeader("Content-Type", "application/json")
		writeLine(c.BodyWriter(), page)
	}}, nil
}

const streamAtOnce = 100 // change sets that a stream reads at once

// historyPage reads the next change sets that query selects, and moves it on behind them.
func (s *server) historyPage(ctx context.Context, in InHistory, query *eventlog.Query) (History, error) {
	r := changeSets{in: in, page: History{History: []ChangeSet{}}}
	for {
		query.Limit = eventsAtOnce
		changes, err := s.log.History(ctx, *query)
		if err != nil {
			return r.page, err
		}
		recorded := make([]events.Recorded, len(changes))
		for i, c := range changes {
			recorded[i] = c.Recorded
		}
		m, err := s.maskerOfEvents(ctx, in.InReveal, recorded)
		if err != nil {
			return r.page, err
		}
		for _, c := range changes {
			if full, err := r.add(m, c); full || err != nil {
				return r.page, err
			}
			passed(query, c.Position)
		}
		if len(changes) < query.Limit {
			r.close()
			return r.page, nil
		}
	}
}

// changeSets puts changes together to the change sets of a page.
type changeSets struct {
	in    InHistory
	page  History
	open  *ChangeSet // the last one, which may get more changes
	last  events.Position
	bytes int // of the page
	began int // bytes when open began
}

// add adds a change. Full says that it is of the next page.
func (r *changeSets) add(m *masker, c eventlog.Change) (full bool, err error) {
	if r.open == nil || r.open.Namespace != c.Namespace || r.open.Revision != c.Revision {
		r.close()
		if len(r.page.History) == r.in.Limit || r.bytes > pageBytes {
			r.page.Next = writeCursor(r.in.Order, r.last)
			return true, nil
		}
		r.open = &ChangeSet{
			Namespace: c.Namespace, Revision: c.Revision, Position: c.Position, Time: c.Time, Actor: c.Actor, Reason: c.Reason,
			RestoredFrom: c.Restored, Changes: []Change{},
		}
		r.began = r.bytes
	}
	r.last = c.Position
	r.open.Position = max(r.open.Position, c.Position)
	change, size, err := m.change(c)
	if change == nil {
		return false, err
	}
	if full := r.bytes-r.began > pageBytes; full && size > 0 && change.Key != "" {
		change.Old, change.New, change.Omitted = nil, nil, true
	} else {
		r.bytes += size
	}
	r.open.Changes = append(r.open.Changes, *change)
	return false, err
}

// close ends a change set, whose changes are in the order of their positions whatever is read first.
func (r *changeSets) close() {
	if r.open == nil {
		return
	}
	if r.in.Order == Newest {
		slices.Reverse(r.open.Changes)
	}
	r.page.History = append(r.page.History, *r.open)
	r.open = nil
}

// change returns a change as it is answered, and about its size; nil for what the change set tells itself.
func (m *masker) change(c eventlog.Change) (*Change, int, error) {
	ns, key := c.Namespace, events.KeyOf(c.Event)
	out := &Change{Position: c.Position, Type: c.Event.Type(), Key: key}
	switch ev := c.Event.(type) {
	case events.NamespaceRestored:
		return nil, 0, nil
	case events.ValueSet:
		out.Old, out.New = m.own(ns, key, c.Value, nil), m.own(ns, key, ev.Value, nil)
	case events.ValueUnset:
		out.Old = m.own(ns, key, c.Value, nil)
	case events.KeyDefined:
		out.Old, out.New = m.own(ns, key, "", c.Definition), m.own(ns, key, "", &ev.Definition)
	case events.KeyRemoved:
		out.Old = m.own(ns, key, c.Value, c.Definition)
	default:
		stored, _, err := m.event(ns, c.Event)
		out.Data = stored.Data
		return out, len(stored.Data), err
	}
	return out, out.Old.size() + out.New.size(), nil
}

// size is about the bytes that h takes as JSON.
func (h *Held) size() int {
	if h == nil {
		return 0
	}
	n := len(h.Value)
	if d := h.Definition; d != nil {
		n += len(d.Default) + len(d.Schema) + len(d.Description) + len(d.Pattern)
	}
	return n
}

const ndjson = "application/x-ndjson"

// accepts says whether an Accept header names a media type. A wildcard does not: JSON is what there is by default.
func accepts(header, mediaType string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, parameters, err := mime.ParseMediaType(part)
		if q, qErr := strconv.ParseFloat(parameters["q"], 64); err == nil && name == mediaType && (qErr != nil || q > 0) {
			return true
		}
	}
	return false
}

// streamHistory writes page and all that comes after it, a change set a line. It holds no more than a page in memory. Where
// it can not go on it cuts the connection, so that a part is not taken for the whole.
func (s *server) streamHistory(c huma.Context, in InHistory, query eventlog.Query, page History) {
	ctx := c.Context()
	r, w := humago.Unwrap(c)
	c.SetHeader("Content-Type", ndjson)
	control := http.NewResponseController(w)
	for {
		_ = control.SetWriteDeadline(time.Now().Add(answerTimeout)) // of each page; a recorder in tests has none
		for _, cs := range page.History {
			if err := writeLine(w, cs); err != nil {
				panic(http.ErrAbortHandler)
			}
		}
		if page.Next == "" {
			return
		}
		_ = control.Flush() // what could not be sent shows with the next line
		var err error
		if page, err = s.historyPage(ctx, in, &query); err != nil || lifeOf(r.Context()).closing.Err() != nil {
			noteCause(ctx, err)
			panic(http.ErrAbortHandler)
		}
	}
}

// writeCursor names where a page ends. It holds for the order in which the page was read.
func writeCursor(order Order, at events.Position) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%s %d", order, at))
}

func readCursor(text string, order Order) (events.Position, error) {
	data, err := base64.RawURLEncoding.DecodeString(text)
	number, ours := strings.CutPrefix(string(data), string(order)+" ")
	n, notNumber := strconv.ParseInt(number, 10, 64)
	if err != nil || !ours || notNumber != nil || n < 1 {
		return 0, badParameter("query.cursor", "is not what a page in this order gave as next")
	}
	return events.Position(n), nil
}

// writeLine writes v as one line of JSON.
func writeLine(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
