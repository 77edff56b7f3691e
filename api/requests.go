package api

import (
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/holdfast-config/holdfast/events"
)

// Parameters that several operations share. Names are checked by the functions below, so that an error says where.

// InNamespace is the namespace in the path.
type InNamespace struct {
	Name string `path:"namespace" doc:"Such as payments.prod"`
}

func (in InNamespace) namespace() (events.Namespace, error) { return events.ParseNamespace(in.Name) }

// InKey is a namespace and a key in the path.
type InKey struct {
	InNamespace
	Key string `path:"key" doc:"Such as db.max_conns"`
}

func (in InKey) address() (events.Namespace, events.Key, error) {
	ns, err := in.namespace()
	if err != nil {
		return "", "", err
	}
	key, err := events.ParseKey(in.Key)
	return ns, key, err
}

// InMin are the parameters by which a read waits for a position.
type InMin struct {
	MinPosition events.Position `query:"min_position" minimum:"0" doc:"Answer with what includes this position, waiting for it"`
	Wait        string          `query:"wait" default:"5s" doc:"How long to wait for min_position: 250ms, 5s; at most 30s"`
}

// maxWait bounds how long a request waits for a position; the server's write timeout is above it.
const maxWait = 30 * time.Second

func (in InMin) wait() (time.Duration, error) {
	wait, err := time.ParseDuration(in.Wait)
	if err != nil || wait < 0 || wait > maxWait {
		return 0, badParameter("query.wait", "is a duration such as 250ms or 5s, at most 30s")
	}
	return wait, nil
}

func badParameter(name, why string) *Problem {
	p := newProblem(ProblemBadParameter, name+": "+why)
	p.Errors = []ProblemError{{Type: ProblemBadParameter, Parameter: name, Detail: why}}
	return p
}

// checkRequest refuses, before anything is parsed, what would else be overlooked: a query parameter that the operation
// does not have, or without a value, or twice; a body of another type; a mark of idempotency that marks nothing.
func checkRequest(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	op := ctx.Operation()
	p := checkQuery(op, r.URL.RawQuery)
	if p == nil && op.RequestBody != nil {
		p = checkContentType(r.Header)
	}
	if p == nil {
		p = checkSingle(r.Header)
	}
	if p != nil {
		writeProblem(w, p)
		return
	}
	next(ctx)
}

func checkQuery(op *huma.Operation, raw string) *Problem {
	if raw == "" {
		return nil
	}
	query, err := url.ParseQuery(raw)
	if err != nil {
		return newProblem(ProblemBadParameter, "the query is not name=value pairs joined by '&'")
	}
	for name, values := range query {
		known := slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool { return p.In == "query" && p.Name == name })
		switch {
		case !known:
			return badParameter("query."+tail(name), "is not a parameter of this operation")
		case len(values) > 1:
			return badParameter("query."+name, "is given more than once")
		case values[0] == "":
			return badParameter("query."+name, "has no value")
		case !utf8.ValidString(values[0]):
			return badParameter("query."+name, "is not UTF-8")
		}
	}
	return nil
}

func checkContentType(h http.Header) *Problem {
	if h.Get("Content-Encoding") != "" {
		return newProblem(ProblemContentType, "a Content-Encoding is not taken")
	}
	given := h.Get("Content-Type")
	if given == "application/json" {
		return nil
	}
	media, params, err := mime.ParseMediaType(given)
	charset := params["charset"]
	if err != nil || media != "application/json" || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return newProblem(ProblemContentType, "the Content-Type must be application/json")
	}
	return nil
}

// checkSingle refuses headers that say two things, and an Idempotency-Key that is no key.
func checkSingle(h http.Header) *Problem {
	for _, name := range []string{HeaderActor, HeaderIdempotencyKey, "If-Match", "Last-Event-Id"} {
		if len(h[name]) > 1 {
			return badParameter("header."+name, "is given more than once")
		}
	}
	keys, given := h[HeaderIdempotencyKey]
	if !given {
		return nil
	}
	printable := strings.IndexFunc(keys[0], func(c rune) bool { return c < ' ' || c > '~' }) < 0
	if len(keys[0]) == 0 || len(keys[0]) > 255 || !printable {
		return badParameter("header."+HeaderIdempotencyKey, "is 1 to 255 printable ASCII characters")
	}
	return nil
}
