package api

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

type valuesInput struct {
	InNamespace
	InMin
	Prefix string `query:"prefix" maxLength:"256" doc:"Only keys that start so"`
}

type valuesOutput struct{ Body Values }

type valueInput struct {
	InKey
	InMin
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
	head, entries, ok := s.views.all(ctx, ns, in.MinPosition)
	if ok {
		out.Epoch, out.Revision, out.Position, out.Values = head.Epoch, head.Revision, head.Position, entries
	} else if out, err = s.valuesFromLog(ctx, ns, in.MinPosition, wait); err != nil {
		return nil, err
	}
	out.Position = max(out.Position, in.MinPosition)
	maps.DeleteFunc(out.Values, func(key events.Key, _ view.Entry) bool { return !strings.HasPrefix(string(key), in.Prefix) })
	return &valuesOutput{Body: out}, nil
}

func (s *server) valuesFromLog(ctx context.Context, ns events.Namespace, min events.Position, wait time.Duration) (Values, error) {
	if err := s.reach(ctx, min, wait); err != nil {
		return Values{}, err
	}
	head, err := s.log.Head(ctx) // before the tree, which then includes it
	if err != nil {
		return Values{}, err
	}
	tree, own, err := s.tree(ctx, ns)
	if err != nil {
		return Values{}, err
	}
	entries := map[events.Key]view.Entry{}
	for key, e := range tree.Entries(ns) {
		entries[key] = view.Entry(e)
	}
	return Values{
		Namespace: ns, Epoch: head.Epoch, Revision: own.Revision, Position: max(head.Position, tree.Position()),
		Source: FromLog, Values: entries,
	}, nil
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
	out := Value{Namespace: ns, Key: key, Source: FromRedis}
	entry, ok := s.views.one(ctx, ns, key, in.MinPosition)
	if !ok {
		out.Source = FromLog
		if entry, err = s.valueFromLog(ctx, ns, key, in.MinPosition, wait); err != nil {
			return nil, err
		}
	}
	if entry == nil {
		return nil, newProblem(ProblemNoValue, string(ns)+"/"+string(key)+" has no effective value")
	}
	out.Entry = *entry
	tag := etag(entry.Position)
	if matches(in.IfNoneMatch, tag) {
		return &valueOutput{Status: http.StatusNotModified, ETag: tag}, nil
	}
	return &valueOutput{Status: http.StatusOK, ETag: tag, Body: out}, nil
}

func (s *server) valueFromLog(ctx context.Context, ns events.Namespace, key events.Key, min events.Position, wait time.Duration) (*view.Entry, error) {
	if err := s.reach(ctx, min, wait); err != nil {
		return nil, err
	}
	tree, _, err := s.tree(ctx, ns)
	if err != nil {
		return nil, err
	}
	e, ok := tree.Effective(ns, key)
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
