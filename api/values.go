package api

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

type valuesInput struct {
	InNamespace
	InMin
	InAt
	InReveal
	Prefix string `query:"prefix" maxLength:"256" doc:"Only keys that start so"`
}

type valuesOutput struct{ Body Values }

type valueInput struct {
	InKey
	InMin
	InAt
	InReveal
	IfNoneMatch string `header:"If-None-Match" doc:"ETags that need no answer but 304"`
}

type valueOutput struct {
	Status int
	ETag   string `header:"ETag"`
	Body   Value
}

func (s *server) valueReads() {
	register(s, huma.Operation{
		OperationID: "list-values", Method: http.MethodGet, Path: "/v1/namespaces/{namespace}/values",
		Summary: "Effective values of a namespace, of one moment",
	}, s.values)

	get := huma.Operation{
		OperationID: "get-value", Method: http.MethodGet, Path: "/v1/namespaces/{namespace}/values/{key}",
		Summary: "Effective value of a key",
	}
	get.Responses = map[string]*huma.Response{"304": {Description: "The value is one of If-None-Match"}}
	register(s, get, s.value)
}

func (s *server) values(ctx context.Context, in *valuesInput) (*valuesOutput, error) {
	ns, err := in.namespace()
	if err != nil {
		return nil, err
	}
	wait, err := in.wait()
	if err != nil {
		return nil, err
	}
	out := Values{Namespace: ns, Source: FromRedis}
	var entries map[events.Key]view.Entry
	head, present, ok := s.presentView(ctx, ns, in.InMin, in.InAt)
	if ok {
		out.Epoch, out.Revision, out.Position, entries = head.Epoch, head.Revision, max(head.Position, in.MinPosition), present
	} else if out, entries, err = s.valuesFromLog(ctx, ns, in, wait); err != nil {
		return nil, err
	}
	maps.DeleteFunc(entries, func(key events.Key, _ view.Entry) bool { return !strings.HasPrefix(string(key), in.Prefix) })
	m, err := s.maskerAt(ctx, in.InAt, in.InReveal, slices.Collect(maps.Keys(entries)), ns)
	if err != nil {
		return nil, err
	}
	out.Values = m.entries(ns, entries)
	return &valuesOutput{Body: out}, nil
}

// presentView returns the view of now, if it is asked for and Redis has it.
func (s *server) presentView(ctx context.Context, ns events.Namespace, min InMin, at InAt) (view.Head, map[events.Key]view.Entry, bool) {
	if at.At != "" {
		return view.Head{}, nil, false
	}
	return s.views.all(ctx, ns, min.MinPosition)
}

func (s *server) valuesFromLog(ctx context.Context, ns events.Namespace, in *valuesInput, wait time.Duration) (Values, map[events.Key]view.Entry, error) {
	if err := s.reach(ctx, in.MinPosition, wait); err != nil {
		return Values{}, nil, err
	}
	head, err := s.log.Head(ctx) // before the tree, which then includes it
	if err != nil {
		return Values{}, nil, err
	}
	m, err := s.asOf(ctx, ns, "at", in.At)
	if err != nil {
		return Values{}, nil, err
	}
	entries := map[events.Key]view.Entry{}
	for key, e := range m.tree.Entries(ns) {
		entries[key] = view.Entry(e)
	}
	out := Values{Namespace: ns, Epoch: head.Epoch, Revision: m.own.Revision, Position: m.position, Source: FromLog}
	if in.At == "" {
		out.Position = max(head.Position, m.position)
	}
	return out, entries, nil
}

func (s *server) value(ctx context.Context, in *valueInput) (*valueOutput, error) {
	ns, key, err := in.address()
	if err != nil {
		return nil, err
	}
	wait, err := in.wait()
	if err != nil {
		return nil, err
	}
	m, err := s.maskerAt(ctx, in.InAt, in.InReveal, []events.Key{key}, ns)
	if err != nil {
		return nil, err
	}
	out := Value{Namespace: ns, Key: key, Source: FromRedis}
	entry, ok := (*view.Entry)(nil), false
	if in.At == "" {
		entry, ok = s.views.one(ctx, ns, key, in.MinPosition)
	}
	if !ok {
		out.Source = FromLog
		if entry, err = s.valueFromLog(ctx, ns, key, in, wait); err != nil {
			return nil, err
		}
	}
	if entry == nil {
		return nil, newProblem(ProblemNoValue, string(ns)+"/"+string(key)+" has no effective value")
	}
	out.Entry = m.entry(ns, key, *entry)
	tag := etag(entry.Position)
	if matches(in.IfNoneMatch, tag) {
		return &valueOutput{Status: http.StatusNotModified, ETag: tag}, nil
	}
	return &valueOutput{Status: http.StatusOK, ETag: tag, Body: out}, nil
}

func (s *server) valueFromLog(ctx context.Context, ns events.Namespace, key events.Key, in *valueInput, wait time.Duration) (*view.Entry, error) {
	if err := s.reach(ctx, in.MinPosition, wait); err != nil {
		return nil, err
	}
	m, err := s.asOf(ctx, ns, "at", in.At)
	if err != nil {
		return nil, err
	}
	e, ok := m.tree.Effective(ns, key)
	if !ok {
		return nil, nil
	}
	entry := view.Entry(e)
	return &entry, nil
}

// matches says whether tag is in a list of ETags, compared weakly as If-None-Match demands.
func matches(list, tag string) bool {
	for one := range strings.SplitSeq(list, ",") {
		one = strings.TrimSpace(one)
		if one == "*" || strings.TrimPrefix(one, "W/") == tag {
			return true
		}
	}
	return false
}
