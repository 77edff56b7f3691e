package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

type diffInput struct {
	InNamespace
	InMin
	InReveal
	From        string `query:"from" maxLength:"128" doc:"A point of the namespace's history: 41, @345, a time or a tag. Absent: now"`
	To          string `query:"to" maxLength:"128" doc:"A point of the history of the other side. Absent: now"`
	Against     string `query:"against" doc:"The namespace of the other side. Absent: the same"`
	Own         bool   `query:"own" doc:"Compare what the namespaces say themselves, and not what is in force there"`
	Definitions bool   `query:"definitions" doc:"Compare definitions, too"`
}

type diffOutput struct{ Body Diff }

// Diff is the answer to GET …/diff.
type Diff struct {
	From        Side         `json:"from"`
	To          Side         `json:"to"`
	Differences []Difference `json:"differences" doc:"Sorted by key"`
}

// Side is a namespace at a point in its history.
type Side struct {
	Namespace events.Namespace `json:"namespace"`
	Revision  events.Revision  `json:"revision"`
	Position  events.Position  `json:"position"`
}

// Difference is a key that is not the same on both sides. A side is absent where there is nothing.
type Difference struct {
	Key  events.Key `json:"key"`
	From *Held      `json:"from,omitempty"`
	To   *Held      `json:"to,omitempty"`
}

func (s *server) differences() {
	register(s, huma.Operation{
		OperationID: "diff-namespace", Method: http.MethodGet, Path: "/v1/namespaces/{namespace}/diff",
		Summary:     "What differs between two points in the history of a namespace, or between two namespaces",
		Description: "Values, and definitions where they are asked for; only what differs.",
	}, s.diff)
}

func (s *server) diff(ctx context.Context, in *diffInput) (*diffOutput, error) {
	ns, err := in.namespace()
	if err != nil {
		return nil, err
	}
	against := ns
	if in.Against != "" {
		if against, err = events.ParseNamespace(in.Against); err != nil {
			return nil, badParameter("query.against", err.Error())
		}
	}
	if against == ns && in.From == in.To {
		return nil, badParameter("query.from", "and to and against name the same twice; name two points, or two namespaces")
	}
	if err := s.reachIn(ctx, in.InMin); err != nil {
		return nil, err
	}
	from, err := s.asOf(ctx, ns, "from", in.From)
	if err != nil {
		return nil, err
	}
	to, err := s.asOf(ctx, against, "to", in.To)
	if err != nil {
		return nil, err
	}
	out := Diff{From: from.side(), To: to.side(), Differences: []Difference{}}
	all := config.Diff(from.tree, ns, to.tree, against, in.Own)
	keys := make([]events.Key, len(all))
	for i, d := range all {
		keys[i] = d.Key
	}
	m, err := s.maskerOf(ctx, in.InReveal, keys, ns, against)
	if err != nil {
		return nil, err
	}
	for _, d := range all {
		if !in.Definitions && !d.Values() {
			continue
		}
		out.Differences = append(out.Differences, Difference{
			Key: d.Key, From: m.held(ns, d.Key, d.From, in.Definitions), To: m.held(against, d.Key, d.To, in.Definitions),
		})
	}
	return &diffOutput{Body: out}, nil
}

func (m moment) side() Side { return Side{m.own.Name, m.own.Revision, m.position} }

// held is own of what a diff found.
func (m *masker) held(ns events.Namespace, key events.Key, h config.Held, definitions bool) *Held {
	var v events.Value
	var d *events.Definition
	if h.Entry != nil {
		v = h.Entry.Value
	}
	if h.Definition != nil && definitions {
		d = &h.Definition.Definition
	}
	return m.own(ns, key, v, d)
}
