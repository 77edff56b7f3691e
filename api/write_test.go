package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
)

const define = `{"do":"define","key":"db.max_conns","definition":{"kind":"int","default":20,"min":1,"max":100}}`

func TestPostCommands(t *testing.T) {
	c := serve(t, nil)
	got := c.post("payments", `{"do":"create","description":"money"},`+define)
	want := api.Written{Namespace: "payments", Revision: 1, Position: 2, Events: 2}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(api.Written{}, "Time")); diff != "" {
		t.Error(diff)
	}
	if got.Time.IsZero() {
		t.Error("no time")
	}

	body := `{"reason":"more load","expect":{"revision":1},"commands":[{"do":"set","key":"db.max_conns","value":30}]}`
	a := c.do("POST", "/v1/namespaces/payments/commands", body, api.HeaderActor, "ada@example.com")
	if w := decoded[api.Written](t, a); w.Revision != 2 || w.Position != 3 || w.Events != 1 {
		t.Errorf("got %+v", w)
	}
	if got := c.do("POST", "/v1/namespaces/payments/commands", body); got.problem(t, api.ProblemConflict).Errors[0].Pointer != "/expect/revision" {
		t.Errorf("got %s", got.body)
	}
	same := c.post("payments", `{"do":"set","key":"db.max_conns","value":30}`)
	if same.Events != 0 || same.Revision != 2 {
		t.Errorf("a change that changes nothing: got %+v", same)
	}

	page := get[api.Events](c, "/v1/namespaces/payments/events?after=2")
	wantEvents := []api.Event{{
		Position: 3, Namespace: "payments", Revision: 2, Type: "value.set.v1", Key: "db.max_conns", Data: json.RawMessage(`{"value":30}`),
		Actor: "ada@example.com", Reason: "more load",
	}}
	if diff := cmp.Diff(wantEvents, page.Events, cmpopts.IgnoreFields(api.Event{}, "Time")); diff != "" {
		t.Error(diff)
	}
}

func TestDryRun(t *testing.T) {
	c := serve(t, nil)
	c.post("payments", `{"do":"create"}`)
	a := c.do("POST", "/v1/namespaces/payments/commands?dry_run=true", `{"commands":[`+define+`,{"do":"set","key":"db.max_conns","value":7}]}`,
		api.HeaderIdempotencyKey, "a-dry-run-leaves-no-receipt")
	got := decoded[api.DryRun](t, a)
	if got.Namespace != "payments" || got.Revision != 1 || got.Position != 1 || !got.DryRun || len(got.Events) != 2 ||
		got.Events[1].Type != events.TypeValueSet || string(got.Events[1].Data) != `{"value":7}` {
		t.Errorf("got %s", a.body)
	}
	a = c.do("POST", "/v1/namespaces/payments/commands?dry_run=true", `{"commands":[{"do":"set","key":"nope","value":7}]}`)
	a.problem(t, api.ProblemUnknownKey)
	if head := c.head(); head != 1 {
		t.Errorf("a dry run moved the head to %d", head)
	}
}

func TestShortForms(t *testing.T) {
	c := serve(t, nil)
	c.post("payments", `{"do":"create"},`+define)
	c.post("payments.prod", `{"do":"create"}`)
	const path = "/v1/namespaces/payments.prod/values/db.max_conns"
	if tag := c.do("GET", path, "").header.Get("ETag"); tag != `"2"` { // the default, from the definition
		t.Fatalf("got ETag %s", tag)
	}
	c.do("PUT", path, `{"value":40}`, "If-None-Match", "*").problem(t, api.ProblemPreconditionFailed)

	put := c.do("PUT", path, `{"value":40,"reason":"spike"}`, "If-Match", `"2"`)
	if w := decoded[api.Written](t, put); w.Position != 4 || put.header.Get("ETag") != `"4"` {
		t.Errorf("got %s, ETag %s", put.body, put.header.Get("ETag"))
	}
	got := c.do("GET", path, "")
	if v := decoded[api.Value](t, got); v.Value != "40" || v.From != "payments.prod" || got.header.Get("ETag") != `"4"` {
		t.Errorf("got %s", got.body)
	}
	p := c.do("PUT", path, `{"value":41}`, "If-Match", `"2"`).problem(t, api.ProblemPreconditionFailed)
	if p.Errors[0].Key != "db.max_conns" || p.Errors[0].Pointer != "" {
		t.Errorf("got %+v", p)
	}
	c.post("payments", `{"do":"define","key":"other","definition":{"kind":"int"}}`) // the log goes on; the entry does not
	same := c.do("PUT", path, `{"value":40}`, "If-Match", `"4"`)
	if w := decoded[api.Written](t, same); w.Events != 0 || same.header.Get("ETag") != `"4"` {
		t.Errorf("a PUT that changes nothing: got %s, ETag %s", same.body, same.header.Get("ETag"))
	}
	if p := c.do("PUT", path, `{"value":1000}`).problem(t, api.ProblemInvalidValue); p.Errors[0].Pointer != "/value" {
		t.Errorf("got %+v", p)
	}

	c.do("DELETE", path, "", "If-Match", `"2"`).problem(t, api.ProblemPreconditionFailed)
	decoded[api.Written](t, c.do("DELETE", path+"?reason=calm+again", "", "If-Match", `"4"`))
	if v := get[api.Value](c, path); v.Value != "20" || v.From != "default" {
		t.Errorf("got %+v", v)
	}
	page := get[api.Events](c, "/v1/namespaces/payments.prod/events?key=db.max_conns")
	if n := len(page.Events); n != 2 || page.Events[0].Reason != "spike" || page.Events[1].Reason != "calm again" {
		t.Errorf("got %+v", page.Events)
	}
}

func TestPutFirstValue(t *testing.T) {
	c := serve(t, nil)
	c.post("free", `{"do":"create","open":true}`)
	const path = "/v1/namespaces/free/values/k"
	put := c.do("PUT", path, `{"value":{"b":1,"a":"<&>"}}`, "If-None-Match", "*")
	if decoded[api.Written](t, put); put.header.Get("ETag") != `"2"` {
		t.Errorf("got ETag %s", put.header.Get("ETag"))
	}
	c.do("PUT", path, `{"value":2}`, "If-None-Match", "*").problem(t, api.ProblemPreconditionFailed)
	if v := get[api.Value](c, path); v.Value != `{"a":"<&>","b":1}` || v.Kind != events.JSON {
		t.Errorf("got %+v", v)
	}
}

// TestPutRace: of many that write under the same ETag, one wins, and it is the value that stands.
func TestPutRace(t *testing.T) {
	c := serve(t, nil)
	c.post("free", `{"do":"create","open":true},{"do":"set","key":"k","value":0}`)
	const path, writers = "/v1/namespaces/free/values/k", 16
	var won atomic.Int64
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			a, err := c.try("PUT", path, fmt.Sprintf(`{"value":%d}`, i+1), "If-Match", `"2"`)
			switch {
			case err != nil:
				t.Error(err)
			case a.status == http.StatusOK:
				if !won.CompareAndSwap(0, int64(i+1)) {
					t.Error("two writers won")
				}
			case a.status != http.StatusPreconditionFailed:
				t.Errorf("got %d %s", a.status, a.body)
			}
		})
	}
	group.Wait()
	if v := get[api.Value](c, path); string(v.Value) != fmt.Sprint(won.Load()) {
		t.Errorf("got %s, writer %d won", v.Value, won.Load())
	}
	if head := c.head(); head != 3 {
		t.Errorf("got head %d", head)
	}
}

func TestIdempotentRetry(t *testing.T) {
	c := serve(t, nil)
	c.post("free", `{"do":"create","open":true}`)
	const path = "/v1/namespaces/free/commands"
	body := `{"commands":[{"do":"set","key":"k","value":1}]}`
	send := func(path, body string, more ...string) answer {
		return c.do("POST", path, body, append(more, api.HeaderIdempotencyKey, "key-1")...)
	}
	first := decoded[api.Written](t, send(path, body))
	c.post("free", `{"do":"set","key":"k","value":2}`)
	again := decoded[api.Written](t, send(path, body))
	want := first
	want.Replayed = true
	if diff := cmp.Diff(want, again); diff != "" {
		t.Error(diff)
	}
	if v := get[api.Value](c, "/v1/namespaces/free/values/k"); v.Value != "2" {
		t.Errorf("the retry wrote again: %+v", v)
	}
	for name, a := range map[string]answer{
		"body":      send(path, body+" "),
		"actor":     send(path, body, api.HeaderActor, "eve"),
		"namespace": send("/v1/namespaces/other/commands", body),
		"method":    c.do("PUT", "/v1/namespaces/free/values/k", `{"value":1}`, api.HeaderIdempotencyKey, "key-1"),
		"delete":    c.do("DELETE", "/v1/namespaces/free/values/k", "", api.HeaderIdempotencyKey, "key-1"),
	} {
		t.Run(name, func(t *testing.T) { a.problem(t, api.ProblemKeyReused) })
	}
}

// TestLostReply: when the answer to COMMIT is lost the poster is told that the outcome is unknown, and the retry with
// the same key learns it.
func TestLostReply(t *testing.T) {
	_, app := testenv.Database(t)
	network := testenv.Proxy(t, app)
	log, err := eventlog.Open(t.Context(), eventlog.Config{URL: network.URL, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	c := serveConfig(t, api.Config{Log: log})
	c.post("free", `{"do":"create","open":true}`)
	const body = `{"commands":[{"do":"set","key":"k","value":1}]}`
	post := func() answer {
		return c.do("POST", "/v1/namespaces/free/commands", body, api.HeaderIdempotencyKey, "key-1")
	}
	network.LoseAnswers()
	lost := post()
	network.Restore()
	if p := lost.problem(t, api.ProblemOutcomeUnknown); !strings.Contains(p.Detail, "same idempotency key") {
		t.Errorf("got %+v", p)
	}
	var found answer
	testenv.Eventually(t, "the retry is answered", func() bool { found = post(); return found.status == http.StatusOK })
	if w := decoded[api.Written](t, found); w.Revision != 2 || w.Position != 2 {
		t.Errorf("got %+v", w)
	}
	if head := c.head(); head != 2 {
		t.Errorf("got head %d", head)
	}
}

// TestTwoServers: two APIs on one database and 64 clients. Positions and revisions have no gap, and every acknowledged
// command is where its answer says.
func TestTwoServers(t *testing.T) {
	_, app := testenv.Database(t)
	var servers []*client
	for range 2 {
		log, err := eventlog.Open(t.Context(), eventlog.Config{URL: app})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(log.Close)
		servers = append(servers, serveConfig(t, api.Config{Log: log}))
	}
	for ns := range 4 {
		servers[ns%2].post(fmt.Sprintf("ns%d", ns), `{"do":"create","open":true}`)
	}
	const clients, each = 64, 5
	var mu sync.Mutex
	acknowledged := map[events.Position]string{}
	var group sync.WaitGroup
	for n := range clients {
		group.Go(func() {
			for i := range each {
				key := fmt.Sprintf("k%d-%d", n, i)
				body := fmt.Sprintf(`{"commands":[{"do":"set","key":"%s","value":%d}]}`, key, i)
				a, err := servers[n%2].try("POST", fmt.Sprintf("/v1/namespaces/ns%d/commands", n%4), body)
				if err != nil || a.status != http.StatusOK {
					t.Errorf("%v %d %s", err, a.status, a.body)
					return
				}
				w := decoded[api.Written](t, a)
				mu.Lock()
				acknowledged[w.Position] = fmt.Sprintf("%s/%s@%d", w.Namespace, key, w.Revision)
				mu.Unlock()
			}
		})
	}
	group.Wait()
	all := get[api.Events](servers[0], "/v1/events?limit=1000")
	revisions := map[events.Namespace]events.Revision{}
	for i, ev := range all.Events {
		if want := events.Position(i + 1); ev.Position != want {
			t.Fatalf("position %d where %d was due", ev.Position, want)
		}
		if want := revisions[ev.Namespace] + 1; ev.Revision != want {
			t.Fatalf("%s: revision %d where %d was due", ev.Namespace, ev.Revision, want)
		}
		revisions[ev.Namespace]++
		if ev.Key == "" {
			continue
		}
		if got := fmt.Sprintf("%s/%s@%d", ev.Namespace, ev.Key, ev.Revision); acknowledged[ev.Position] != got {
			t.Errorf("position %d: %s was acknowledged, %s is stored", ev.Position, acknowledged[ev.Position], got)
		}
		delete(acknowledged, ev.Position)
	}
	if len(acknowledged) > 0 || len(all.Events) != 4+clients*each {
		t.Errorf("%d events; acknowledged and missing: %v", len(all.Events), acknowledged)
	}
}
