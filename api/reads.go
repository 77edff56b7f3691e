package api

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
)

type namespacesInput struct {
	InMin
	After string `query:"after" maxLength:"128" doc:"Namespaces after this name"`
	Limit int    `query:"limit" minimum:"1" maximum:"10000" default:"1000"`
}

type namespacesOutput struct{ Body Namespaces }

type namespaceInput struct {
	InNamespace
	InMin
}

type namespaceOutput struct{ Body Namespace }

type definitionsOutput struct{ Body Definitions }

type definitionsInput struct {
	InNamespace
	InMin
	InAt
	InReveal
}

type definitionInput struct {
	InKey
	InMin
	InAt
	InReveal
}

type tagsOutput struct{ Body Tags }

type definitionOutput struct{ Body KeyDefinition }

// InPage selects a page of events.
type InPage struct {
	InMin
	InFilter
	InReveal
	After events.Position `query:"after" minimum:"0" doc:"Events that come after this position, in the order asked for"`
	Order Order           `query:"order" enum:"oldest,newest" default:"oldest" doc:"What comes first"`
	Limit int             `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Events on a page, at most; it has fewer where they are large"`
}

type storeEventsInput struct{ InPage }

type eventsInput struct {
	InNamespace
	InPage
	InKeyFilter
}

type eventsOutput struct{ Body Events }

func (s *server) reads() {
	const ns = "/v1/namespaces/{namespace}"
	get := func(id, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: http.MethodGet, Path: path, Summary: summary}
	}
	register(s, get("list-namespaces", "/v1/namespaces", "Namespaces that exist, sorted"), s.namespaces)
	register(s, get("get-namespace", ns, "One namespace"), s.namespace)
	register(s, get("list-definitions", ns+"/definitions", "Definitions in force, own and inherited"), s.definitions)
	register(s, get("get-definition", ns+"/definitions/{key}", "Definition in force of a key"), s.definition)
	register(s, get("list-tags", ns+"/tags", "Tags in use, and the revisions that they name"), s.tags)
	register(s, get("list-events", ns+"/events", "Events of a namespace"), s.events)
	register(s, get("list-all-events", "/v1/events", "Events of the whole store"), s.storeEvents)
}

func (s *server) namespaces(ctx context.Context, in *namespacesInput) (*namespacesOutput, error) {
	var after events.Namespace
	if in.After != "" {
		var err error
		if after, err = events.ParseNamespace(in.After); err != nil {
			return nil, badParameter("query.after", err.Error())
		}
	}
	if err := s.reachIn(ctx, in.InMin); err != nil {
		return nil, err
	}
	names, err := s.log.Namespaces(ctx, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	out := &namespacesOutput{Body: Namespaces{Namespaces: append([]events.Namespace{}, names...)}}
	if len(names) > in.Limit {
		out.Body.Namespaces = names[:in.Limit]
		out.Body.Next = names[in.Limit-1]
	}
	return out, nil
}

func (s *server) namespace(ctx context.Context, in *namespaceInput) (*namespaceOutput, error) {
	_, _, own, err := s.treeIn(ctx, in.InNamespace, in.InMin)
	if err != nil {
		return nil, err
	}
	return &namespaceOutput{Body: Namespace{
		Namespace: own.Name, Revision: own.Revision, Position: own.Position, Open: own.Open,
		Description: own.Description, Labels: own.Labels,
		CreatedAt: own.CreatedAt.Time, CreatedBy: own.CreatedAt.Actor,
	}}, nil
}

func (s *server) definitions(ctx context.Context, in *definitionsInput) (*definitionsOutput, error) {
	ns, at, err := s.momentIn(ctx, in.InNamespace, in.InMin, in.InAt)
	if err != nil {
		return nil, err
	}
	m, err := s.maskerAt(ctx, in.InAt, in.InReveal, slices.Collect(at.tree.Keys(ns)), ns)
	if err != nil {
		return nil, err
	}
	out := Definitions{Namespace: ns, Revision: at.own.Revision, Position: at.position, Definitions: map[events.Key]Definition{}}
	if in.At == "" {
		out.Position = max(out.Position, in.MinPosition)
	}
	for key, d := range at.tree.Definitions(ns) {
		out.Definitions[key] = m.definition(at.tree, ns, key, d)
	}
	return &definitionsOutput{Body: out}, nil
}

func (s *server) definition(ctx context.Context, in *definitionInput) (*definitionOutput, error) {
	_, key, err := in.address()
	if err != nil {
		return nil, err
	}
	ns, at, err := s.momentIn(ctx, in.InNamespace, in.InMin, in.InAt)
	if err != nil {
		return nil, err
	}
	d, _, ok := at.tree.Definition(ns, key)
	if !ok {
		return nil, newProblem(ProblemNoDefinition, fmt.Sprintf("%s/%s is not defined, here or above", ns, key))
	}
	m, err := s.maskerAt(ctx, in.InAt, in.InReveal, []events.Key{key}, ns)
	if err != nil {
		return nil, err
	}
	return &definitionOutput{Body: KeyDefinition{Namespace: ns, Key: key, Definition: m.definition(at.tree, ns, key, d)}}, nil
}

func (s *server) tags(ctx context.Context, in *namespaceInput) (*tagsOutput, error) {
	ns, _, own, err := s.treeIn(ctx, in.InNamespace, in.InMin)
	if err != nil {
		return nil, err
	}
	out := Tags{Namespace: ns, Tags: []Tag{}}
	for tag, revision := range own.Tags() {
		out.Tags = append(out.Tags, Tag{tag, revision})
	}
	slices.SortFunc(out.Tags, func(a, b Tag) int { return cmp.Or(cmp.Compare(a.Revision, b.Revision), cmp.Compare(a.Tag, b.Tag)) })
	return &tagsOutput{Body: out}, nil
}

func (s *server) storeEvents(ctx context.Context, in *storeEventsInput) (*eventsOutput, error) {
	return s.page(ctx, in.InPage, eventlog.Query{})
}

func (s *server) events(ctx context.Context, in *eventsInput) (*eventsOutput, error) {
	query, err := in.InKeyFilter.of(in.InNamespace)
	if err != nil {
		return nil, err
	}
	out, err := s.page(ctx, in.InPage, query)
	if err == nil && len(out.Body.Events) == 0 {
		_, _, err = s.tree(ctx, query.Namespace) // none of it, or no such namespace
	}
	return out, err
}

// page answers the events that query selects, one page of them.
func (s *server) page(ctx context.Context, in InPage, query eventlog.Query) (*eventsOutput, error) {
	if err := s.reachIn(ctx, in.InMin); err != nil {
		return nil, err
	}
	query, err := s.filter(ctx, in.InFilter, query)
	if err != nil {
		return nil, err
	}
	query.Newest = in.Order == Newest
	if in.After > 0 {
		passed(&query, in.After)
	}
	head, err := s.log.Head(ctx)
	if err != nil {
		return nil, err
	}
	out := &eventsOutput{Body: Events{Events: []Event{}, Head: head.Position}}
	return out, s.fill(ctx, &out.Body, in, query)
}

// Bounds of a page of events, so that large values do not fill the memory: it ends when it is over pageBytes, and no more
// than eventsAtOnce are read at once.
const (
	pageBytes    = 8 << 20
	eventsAtOnce = 101 // a page of the default length, and whether there is more, in one read
)

// fill reads events into page until it is full, or there are no more.
func (s *server) fill(ctx context.Context, page *Events, in InPage, query eventlog.Query) error {
	for bytes := 0; ; {
		query.Limit = min(in.Limit+1-len(page.Events), eventsAtOnce)
		recorded, err := s.log.Read(ctx, query)
		if err != nil {
			return err
		}
		m, err := s.maskerOfEvents(ctx, in.InReveal, recorded)
		if err != nil {
			return err
		}
		for _, rec := range recorded {
			if len(page.Events) == in.Limit || bytes > pageBytes {
				page.Next = page.Events[len(page.Events)-1].Position
				return nil
			}
			ev, err := m.recorded(rec)
			if err != nil {
				return err
			}
			page.Events = append(page.Events, ev)
			bytes += len(ev.Data)
			passed(&query, rec.Position)
		}
		if len(recorded) < query.Limit {
			return nil
		}
	}
}

// momentIn returns the state at a point of the namespace in the path, with all that the read asks to be included.
func (s *server) momentIn(ctx context.Context, in InNamespace, min InMin, at InAt) (events.Namespace, moment, error) {
	ns, err := in.namespace()
	if err == nil {
		err = s.reachIn(ctx, min)
	}
	if err != nil {
		return "", moment{}, err
	}
	m, err := s.asOf(ctx, ns, "at", at.At)
	return ns, m, err
}

// treeIn returns the present tree of the namespace in the path, with all that the read asks to be included.
func (s *server) treeIn(ctx context.Context, in InNamespace, min InMin) (events.Namespace, config.Tree, *config.Namespace, error) {
	ns, err := in.namespace()
	if err == nil {
		err = s.reachIn(ctx, min)
	}
	if err != nil {
		return "", config.Tree{}, nil, err
	}
	tree, own, err := s.tree(ctx, ns)
	return ns, tree, own, err
}

// tree returns the present tree and in it the namespace, which must exist.
func (s *server) tree(ctx context.Context, ns events.Namespace) (config.Tree, *config.Namespace, error) {
	tree, err := s.log.Present(ctx, ns)
	if err != nil {
		return config.Tree{}, nil, err
	}
	own, ok := tree.Namespace(ns)
	if !ok {
		return config.Tree{}, nil, newProblem(ProblemNamespaceNotFound, fmt.Sprintf("namespace %s does not exist", ns))
	}
	return tree, own, nil
}

func (s *server) reachIn(ctx context.Context, in InMin) error {
	wait, err := in.wait()
	if err != nil {
		return err
	}
	return s.reach(ctx, in.MinPosition, wait)
}

// reach returns when the log has reached min.
func (s *server) reach(ctx context.Context, min events.Position, wait time.Duration) error {
	if min == 0 {
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	closing := lifeOf(ctx).closing
	defer context.AfterFunc(closing, cancel)()
	err := s.log.Await(waiting, min)
	if err == nil || waiting.Err() == nil || ctx.Err() != nil {
		return err
	}
	if closing.Err() != nil {
		return newProblem(ProblemUnavailable, "this server is shutting down; ask another")
	}
	head, err := s.log.Head(ctx)
	if err != nil {
		return err
	}
	p := newProblem(ProblemNotReached, fmt.Sprintf("waited %s for position %d; the log ends at %d", wait, min, head.Position))
	p.Position = head.Position
	return p
}
