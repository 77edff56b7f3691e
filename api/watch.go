package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/sse"
)

// DefaultMaxWatchers is how many watches a process takes at once where [Config] does not say.
const DefaultMaxWatchers = 10_000

type watchInput struct {
	InNamespace
	After       string `query:"after" doc:"Resume after this position; without it the watch begins with a snapshot"`
	Epoch       string `query:"epoch" maxLength:"64" doc:"The history that after is of; in another one the watch begins with a reset"`
	LastEventID string `header:"Last-Event-ID" doc:"As after, and goes before it: browsers send it when they reconnect"`
}

// start is where a client wants its watch to begin.
type start struct {
	resume bool // else with a snapshot
	after  events.Position
	epoch  string // that after is of; empty: not said
	void   bool   // after is of a history that is over
}

func (in *watchInput) start() (start, error) {
	text, name := in.LastEventID, "header.Last-Event-ID"
	if text == "" {
		text, name = in.After, "query.after"
	}
	if text == "" {
		return start{}, nil
	}
	after, err := strconv.ParseInt(text, 10, 64)
	if err != nil || after < 0 {
		return start{}, badParameter(name, "is a position: 0 or more")
	}
	return start{resume: true, after: events.Position(after), epoch: in.Epoch}, nil
}

// watches are what all watchers share.
type watches struct {
	hub *hub
	max int64
	now atomic.Int64
}

func (s *server) watching() {
	op := huma.Operation{
		OperationID: "watch-namespace", Method: http.MethodGet, Path: "/v1/namespaces/{namespace}/watch",
		Summary:     "The view of a namespace, live from the log, as server-sent events",
		Description: watchDescription,
		Responses: map[string]*huma.Response{"200": {
			Description: "Events, until client or server end it",
			Content:     map[string]*huma.MediaType{sse.ContentType: {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}
	register(s, op, s.watch)
}

const watchDescription = "The events are snapshot, change, bookmark, reset, overflow and goodbye. The id of a snapshot or change is its " +
	"position, from which a later watch resumes, however long ago it was."

// watch answers problems before the stream begins, and else the stream.
func (s *server) watch(ctx context.Context, in *watchInput) (*huma.StreamResponse, error) {
	ns, err := in.namespace()
	if err != nil {
		return nil, err
	}
	from, err := in.start()
	if err != nil {
		return nil, err
	}
	if s.watches.now.Add(1) > s.watches.max {
		s.watches.now.Add(-1)
		return nil, newProblem(ProblemTooManyWatches, fmt.Sprintf("this process has %d watches, and takes no more; ask another", s.watches.max))
	}
	seat, err := s.watches.hub.join(ctx, ns)
	if err != nil {
		s.watches.now.Add(-1)
		return nil, err
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		defer s.watches.now.Add(-1)
		r, w := humago.Unwrap(c)
		newWatcher(seat, w, from).run(r.Context())
	}}, nil
}
