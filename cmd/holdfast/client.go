package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/commands"
	"github.com/holdfast-config/holdfast/events"
)

// client calls the api. Requests are repeated for a while where that is safe: reads are, and so are writes, which carry
// an idempotency key, so that one whose answer was lost finds the answer of the first.
type client struct {
	base    string
	timeout time.Duration   // for a request with its repetitions
	pauses  []time.Duration // before each repetition
	reveal  bool            // ask for sensitive values
	http    http.Client
}

// newClient finds the api by flag, environment, or a running dev.
func (c *cli) newClient() (*client, error) {
	base := firstOf(c.apiURL, c.env("HOLDFAST_API"), findDev().API, defaultAPI)
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, usageError{fmt.Errorf("the api's address must be of the form http://host:port, is %q", base)}
	}
	return &client{base: strings.TrimSuffix(base, "/"), timeout: c.timeout, reveal: c.showSensitive,
		pauses: []time.Duration{100 * time.Millisecond, 400 * time.Millisecond, 1500 * time.Millisecond}}, nil
}

// get reads into v what stands at the path, whose parts are escaped.
func (c *client) get(ctx context.Context, v any, query url.Values, path ...string) error {
	return c.do(ctx, request{method: http.MethodGet, path: c.path(path...), query: query}, v)
}

// post posts a change set. The same key with the same change set is the same request.
func (c *client) post(ctx context.Context, cs commands.ChangeSet, key string) (api.Written, error) {
	var w api.Written
	err := c.change(ctx, cs, key, nil, &w)
	return w, err
}

// dryRun asks what a change set would do.
func (c *client) dryRun(ctx context.Context, cs commands.ChangeSet) (api.DryRun, error) {
	var d api.DryRun
	err := c.change(ctx, cs, "", url.Values{"dry_run": {"true"}}, &d)
	return d, err
}

func (c *client) change(ctx context.Context, cs commands.ChangeSet, key string, query url.Values, v any) error {
	return c.write(ctx, postedChange{cs.Namespace, "commands", cs.Actor, key, cs}, query, v)
}

// restore posts a restore, as it was planned. The same key with the same restore is the same request.
func (c *client) restore(ctx context.Context, ns events.Namespace, actor, key string, r api.Restore) (api.Written, error) {
	var w api.Written
	err := c.write(ctx, postedChange{ns, "restore", actor, key, r}, nil, &w)
	return w, err
}

// planRestore asks what a restore would do.
func (c *client) planRestore(ctx context.Context, ns events.Namespace, actor string, r api.Restore) (api.RestorePlan, error) {
	var plan api.RestorePlan
	err := c.write(ctx, postedChange{ns, "restore", actor, "", r}, c.revealing(url.Values{"dry_run": {"true"}}), &plan)
	return plan, err
}

// postedChange is a change set, in one of its forms, on its way to a namespace.
type postedChange struct {
	ns    events.Namespace
	route string // last part of the path
	actor string
	key   string // of idempotency; empty: none
	body  any
}

func (c *client) write(ctx context.Context, w postedChange, query url.Values, v any) error {
	body, err := json.Marshal(w.body)
	if err != nil {
		return err
	}
	header := http.Header{"Content-Type": {"application/json"}, api.HeaderActor: {w.actor}}
	if w.key != "" {
		header.Set(api.HeaderIdempotencyKey, w.key)
	}
	path := c.path("v1", "namespaces", string(w.ns), w.route)
	err = c.do(ctx, request{http.MethodPost, path, query, header, body}, v)
	if problem := new(api.Problem); errors.As(err, &problem) && !errors.As(err, &unreachableError{}) {
		return &refusal{w.ns, problem}
	}
	return err
}

// freshKey is an idempotency key that nobody has used.
func freshKey() string { return rand.Text() }

func (c *client) path(parts ...string) string {
	var b strings.Builder
	for _, part := range parts {
		b.WriteString("/" + url.PathEscape(part))
	}
	return b.String()
}

type request struct {
	method string
	path   string
	query  url.Values
	header http.Header
	body   []byte
}

// do sends a request until it has an answer that repeating would not change.
func (c *client) do(ctx context.Context, r request, v any) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	sent := false
	for attempt := 0; ; attempt++ {
		err := c.once(ctx, r, v)
		var transport *transportError
		switch problem := new(api.Problem); {
		case errors.As(err, &transport):
			sent = sent || transport.sent
		case !errors.As(err, &problem) || problemCode(problem) != exitUnreachable || problem.Type == api.ProblemNotReached:
			return err
		default:
			sent = sent || problem.Type == api.ProblemOutcomeUnknown
		}
		if attempt == len(c.pauses) || !pause(ctx, c.pauses[attempt]) {
			return c.gaveUp(ctx, r, sent, err)
		}
	}
}

// gaveUp makes the error of the last attempt one that tells what is known.
func (c *client) gaveUp(ctx context.Context, r request, sent bool, err error) error {
	if errors.Is(context.Cause(ctx), context.Canceled) && !(sent && r.method == http.MethodPost) {
		return context.Canceled
	}
	var transport *transportError
	if errors.As(err, &transport) {
		err = fmt.Errorf("the api at %s does not answer: %w; is it running? (start it with: holdfast dev, or name it with --api)", c.base, transport.err)
	}
	if sent && r.method == http.MethodPost {
		err = fmt.Errorf("outcome unknown: the change may have been made or not; %w", err)
	}
	return unreachableError{err}
}

// transportError is a request that was not answered; sent says that it may have arrived.
type transportError struct {
	err  error
	sent bool
}

func (e *transportError) Error() string { return e.err.Error() }

// once sends a request once, for a third of the time that there is in all.
func (c *client) once(ctx context.Context, r request, v any) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout/3)
	defer cancel()
	target := c.base + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, bytes.NewReader(r.body))
	if err != nil {
		return err
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	resp, err := c.http.Do(req)
	if err != nil {
		dial := new(net.OpError)
		notSent := errors.As(err, &dial) && dial.Op == "dial"
		return &transportError{plainCause(err), !notSent}
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 400 && !strings.HasSuffix(r.path, "/readyz") {
		return problemOf(resp)
	}
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		return &transportError{fmt.Errorf("its answer broke off or is not JSON: %w", err), true}
	}
	return nil
}

var errNoAnswer = errors.New("no answer in time")

// plainCause leaves out the method, URL and addresses that net/http puts before each error.
func plainCause(err error) error {
	if inner := new(url.Error); errors.As(err, &inner) {
		if inner.Timeout() {
			return errNoAnswer
		}
		err = inner.Err
	}
	if dial := new(net.OpError); errors.As(err, &dial) {
		return dial.Err
	}
	return err
}

// problemOf reads an error answer; one that is not a problem comes from something between here and the api.
func problemOf(resp *http.Response) error {
	problem := &api.Problem{}
	err := json.NewDecoder(io.LimitReader(resp.Body, 4<<20)).Decode(problem)
	if err != nil || problem.Type == "" {
		problem = &api.Problem{Title: fmt.Sprintf("the api's address answered %s, and not as the api does; check --api", resp.Status)}
	}
	problem.Status = resp.StatusCode
	return problem
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// now is the query that makes a read include all that was written up to here.
func (c *client) now(ctx context.Context) (url.Values, error) {
	var log api.Events
	if err := c.get(ctx, &log, url.Values{"limit": {"1"}}, "v1", "events"); err != nil {
		return nil, err
	}
	return atLeast(log.Head), nil
}

// revealing adds to the query of a read that answers values that sensitive ones are asked for, if they are.
func (c *client) revealing(query url.Values) url.Values {
	if !c.reveal {
		return query
	}
	query = maps.Clone(query)
	if query == nil {
		query = url.Values{}
	}
	query.Set("reveal", "true")
	return query
}

func atLeast(pos events.Position) url.Values {
	return url.Values{"min_position": {fmt.Sprint(pos)}}
}

// ifFound makes an answer that says "not found" no error.
func ifFound(err error) (bool, error) {
	if problem := new(api.Problem); errors.As(err, &problem) && problem.Status == http.StatusNotFound && problem.Type != api.ProblemNoRoute {
		return false, nil
	}
	return err == nil, err
}
