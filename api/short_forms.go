package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-config/holdfast/commands"
	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

// Writing one value: the short forms of a change set with one set or unset.

type putInput struct {
	InKey
	InWrite
	IfMatch     string `header:"If-Match" doc:"ETag of the effective value that must still stand"`
	IfNoneMatch string `header:"If-None-Match" doc:"*: there must be no effective value"`
	RawBody     []byte
}

type deleteInput struct {
	InKey
	InWrite
	IfMatch string `header:"If-Match" doc:"ETag of the effective value that must still stand"`
	Reason  string `query:"reason"`
}

type writtenOutput struct {
	ETag string `header:"ETag" doc:"Of the value; only where it was set"`
	Body Written
}

// shortForms registers the short forms.
func (s *server) shortForms() {
	put := huma.Operation{
		OperationID: "put-value", Method: http.MethodPut, Path: "/v1/namespaces/{namespace}/values/{key}",
		Summary: "Set one value",
	}
	takeJSON[SetValue](s, &put, events.MaxChangeSetBytes)
	register(s, put, s.put)
	dropRawBody(put)

	register(s, huma.Operation{
		OperationID: "delete-value", Method: http.MethodDelete, Path: "/v1/namespaces/{namespace}/values/{key}",
		Summary: "Unset one value", Description: "The inherited value or the default shows again.",
	}, s.delete)
}

func (s *server) put(ctx context.Context, in *putInput) (*writtenOutput, error) {
	ns, key, err := in.address()
	if err != nil {
		return nil, err
	}
	expect, err := precondition(in.IfMatch, in.IfNoneMatch)
	if err != nil {
		return nil, err
	}
	cs, err := parseSet(ns, key, in.Actor, in.RawBody, expect)
	if err != nil {
		return nil, shortForm(err, expect)
	}
	// A set that changes nothing leaves the entry where it was: the decision sees where that is.
	var before events.Position
	receipt := in.receipt(in.RawBody, http.MethodPut, in.Name, in.Key, in.IfMatch, in.IfNoneMatch)
	written, err := s.append(ctx, cs, receipt, func(t config.Tree) {
		entry, _ := t.Effective(ns, key)
		before = entry.Position
	})
	if err != nil {
		return nil, shortForm(err, expect)
	}
	out := &writtenOutput{Body: written}
	switch {
	case written.Events > 0:
		out.ETag = etag(written.Position)
	case !written.Replayed:
		out.ETag = etag(before)
	}
	return out, nil
}

func (s *server) delete(ctx context.Context, in *deleteInput) (*writtenOutput, error) {
	ns, key, err := in.address()
	if err != nil {
		return nil, err
	}
	expect, err := precondition(in.IfMatch, "")
	if err != nil {
		return nil, err
	}
	cs := commands.ChangeSet{
		Namespace: ns, Actor: in.Actor, Reason: in.Reason,
		Commands: []commands.Command{commands.Unset{Key: key, Expect: expect}},
	}
	if err := cs.Check(); err != nil {
		return nil, shortForm(err, expect)
	}
	written, err := s.append(ctx, cs, in.receipt(nil, http.MethodDelete, in.Name, in.Key, in.IfMatch, in.Reason), nil)
	if err != nil {
		return nil, shortForm(err, expect)
	}
	return &writtenOutput{Body: written}, nil
}

// etag is the ETag of a value whose effective entry is that of position.
func etag(position events.Position) string {
	return `"` + strconv.FormatInt(int64(position), 10) + `"`
}

// precondition returns what If-Match or If-None-Match expect of the key's effective entry.
func precondition(ifMatch, ifNoneMatch string) (commands.Expect, error) {
	var position events.Position
	switch {
	case ifMatch == "" && ifNoneMatch == "":
		return commands.Expect{}, nil
	case ifMatch != "" && ifNoneMatch != "":
		return commands.Expect{}, badParameter("header.If-None-Match", "can not hold together with If-Match; give one of them")
	case ifNoneMatch == "*":
		return commands.Expect{Position: &position}, nil
	case ifNoneMatch != "":
		return commands.Expect{}, badParameter("header.If-None-Match", "must be * in a write")
	}
	n, err := strconv.ParseInt(trimQuotes(ifMatch), 10, 64)
	position = events.Position(n)
	if err != nil || n <= 0 || etag(position) != ifMatch {
		return commands.Expect{}, badParameter("header.If-Match", "must be one ETag as GET answers it, such as \"345\" in quotes")
	}
	return commands.Expect{Position: &position}, nil
}

func trimQuotes(s string) string {
	if len(s) < 2 {
		return ""
	}
	return s[1 : len(s)-1]
}

// parseSet reads the body of a PUT as the change set that it is short for, so that commands.Parse judges it.
func parseSet(ns events.Namespace, key events.Key, actor string, body []byte, expect commands.Expect) (commands.ChangeSet, error) {
	members, err := membersOf(body)
	if err != nil {
		return commands.ChangeSet{}, malformed(ns, "", err.Error())
	}
	text := []byte("{")
	if reason, ok := members["reason"]; ok {
		text = append(append(append(text, `"reason":`...), reason...), ',')
	}
	text = append(text, `"commands":[{"do":"set","key":"`+string(key)+`"`...)
	if value, ok := members["value"]; ok {
		text = append(append(text, `,"value":`...), value...)
	}
	if expect.Position != nil {
		text = fmt.Appendf(text, `,"expect":{"position":%d}`, *expect.Position)
	}
	text = append(text, `}]}`...)
	for name := range members {
		if name != "reason" && name != "value" {
			return commands.ChangeSet{}, malformed(ns, name, "is not a member of the body; it has value and reason")
		}
	}
	return commands.Parse(ns, actor, text)
}

// membersOf cuts a JSON object into its members, none of which may be there twice.
func membersOf(body []byte) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return nil, errors.New("the body is not a JSON object")
	}
	members := map[string]json.RawMessage{}
	for dec.More() {
		tok, err := dec.Token()
		name, ok := tok.(string)
		if err != nil || !ok {
			return nil, fmt.Errorf("the body is not JSON at byte %d", dec.InputOffset())
		}
		if _, twice := members[name]; twice {
			return nil, fmt.Errorf("the body has a member twice, at byte %d", dec.InputOffset())
		}
		var member json.RawMessage
		if err := dec.Decode(&member); err != nil {
			return nil, fmt.Errorf("the body is not JSON at byte %d", dec.InputOffset())
		}
		members[name] = member
	}
	if _, err := dec.Token(); err != nil {
		return nil, errors.New("the body is not JSON: it ends too early")
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("the body goes on after its end, at byte %d", dec.InputOffset())
	}
	return members, nil
}

func malformed(ns events.Namespace, field, detail string) error {
	if field != "" {
		detail = fmt.Sprintf("%q %s", tail(field), detail)
	}
	return &commands.Refused{Namespace: ns, Problems: []commands.Problem{{
		Command: -1, Field: field, Err: commands.ErrMalformed, Detail: detail,
	}}}
}

// shortForm tells a refusal in the terms of a PUT or DELETE: pointers are into its body, and an expectation that does
// not hold is the precondition's.
func shortForm(err error, expect commands.Expect) error {
	var refused *commands.Refused
	if !errors.As(err, &refused) {
		return err
	}
	short := &commands.Refused{Namespace: refused.Namespace}
	for _, p := range refused.Problems {
		p.Command = -1
		short.Problems = append(short.Problems, p)
	}
	if expect.Position != nil && errors.Is(err, commands.ErrConflict) {
		short.Problems[0].Field = ""
		return fmt.Errorf("%w: %w", errPrecondition, short)
	}
	return short
}
