package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// client calls one server and fails the test on anything but an answer.
type client struct {
	t    testing.TB
	url  string
	http *http.Client
	log  *eventlog.Log
}

// serve starts an API on a fresh log, over rdb if that is not nil.
func serve(t testing.TB, rdb redis.UniversalClient) *client {
	t.Helper()
	return serveConfig(t, api.Config{Log: testenv.Log(t), Redis: rdb})
}

func serveConfig(t testing.TB, cfg api.Config) *client {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	srv := httptest.NewServer(api.New(cfg))
	t.Cleanup(srv.Close)
	return &client{t: t, url: srv.URL, http: srv.Client(), log: cfg.Log}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request; headers are names and values in turn.
func (c *client) do(method, path, body string, headers ...string) answer {
	c.t.Helper()
	a, err := c.try(method, path, body, headers...)
	if err != nil {
		c.t.Fatal(err)
	}
	return a
}

func (c *client) try(method, path, body string, headers ...string) (answer, error) {
	req, err := http.NewRequest(method, c.url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, text}, err
}

// get returns the decoded answer of a GET that must succeed.
func get[T any](c *client, path string) T {
	c.t.Helper()
	return decoded[T](c.t, c.do("GET", path, ""))
}

// post posts commands that must be accepted.
func (c *client) post(ns, commands string) api.Written {
	c.t.Helper()
	return decoded[api.Written](c.t, c.do("POST", "/v1/namespaces/"+ns+"/commands", `{"commands":[`+commands+`]}`))
}

// decoded decodes the body of an answer that must have status 200, and has no member that T lacks.
func decoded[T any](t testing.TB, a answer) T {
	t.Helper()
	var v T
	if a.status != http.StatusOK {
		t.Fatalf("got status %d: %s", a.status, a.body)
	}
	dec := json.NewDecoder(bytes.NewReader(a.body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	return v
}

// problem checks that an answer is a problem of the type.
func (a answer) problem(t testing.TB, typ string) api.Problem {
	t.Helper()
	var p api.Problem
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatalf("status %d, no problem: %s", a.status, a.body)
	}
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("got content type %q", got)
	}
	if p.Type != typ || p.Status != a.status {
		t.Errorf("got status %d and %s\nwant %s", a.status, a.body, typ)
	}
	return p
}

func (c *client) head() events.Position {
	c.t.Helper()
	head, err := c.log.Head(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return head.Position
}

// putView puts a view into Redis as the projector would.
func putView(t testing.TB, rdb redis.UniversalClient, ns events.Namespace, head view.Head, entries map[events.Key]view.Entry) {
	t.Helper()
	pipe := rdb.TxPipeline()
	for key, e := range entries {
		pipe.HSet(t.Context(), view.ValuesKey(ns), string(key), view.EncodeEntry(e))
	}
	pipe.HSet(t.Context(), view.HeadKey(ns), "epoch", head.Epoch, "term", head.Term, "position", int64(head.Position),
		"revision", int64(head.Revision), "keys", len(entries), "updated_at", time.Now().UTC().Format(time.RFC3339Nano))
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// beat puts a projector's heartbeat into Redis.
func beat(t testing.TB, rdb redis.UniversalClient, epoch string, position events.Position, at time.Time) {
	t.Helper()
	err := rdb.HSet(t.Context(), view.ProjectorKey, "epoch", epoch, "term", 1, "position", int64(position),
		"head", int64(position), "updated_at", at.UTC().Format(time.RFC3339Nano)).Err()
	if err != nil {
		t.Fatal(err)
	}
}

// quickRedis is a client on url whose contexts have effect, as api.Config demands.
func quickRedis(t testing.TB, url string) redis.UniversalClient {
	t.Helper()
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	options.ContextTimeoutEnabled = true
	rdb := redis.NewClient(options)
	t.Cleanup(func() { rdb.Close() })
	return rdb
}
