package api_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/audit"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

func TestNamespacesInPages(t *testing.T) {
	c := serve(t, nil)
	want := []events.Namespace{"a", "b", "b.c", "d"}
	for _, ns := range want {
		c.post(string(ns), `{"do":"create"}`)
	}
	var got []events.Namespace
	for after, pages := "", 0; pages == 0 || after != ""; pages++ {
		path := "/v1/namespaces?limit=3"
		if after != "" {
			path += "&after=" + after
		}
		page := get[api.Namespaces](c, path)
		got = append(got, page.Namespaces...)
		after = string(page.Next)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNamespace(t *testing.T) {
	c := serve(t, nil)
	a := c.do("POST", "/v1/namespaces/free/commands", `{"commands":[{"do":"create","open":true,"description":"d","labels":{"team":"x"}},{"do":"set","key":"k","value":1}]}`,
		api.HeaderActor, "ada")
	written := decoded[api.Written](t, a)
	got := get[api.Namespace](c, "/v1/namespaces/free")
	want := api.Namespace{
		Namespace: "free", Revision: 1, Position: 2, Open: true, Description: "d", Labels: map[string]string{"team": "x"},
		CreatedAt: written.Time, CreatedBy: "ada",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDefinitions(t *testing.T) {
	c := serve(t, nil)
	c.post("payments", `{"do":"create"},`+define)
	c.post("payments.prod", `{"do":"create"}`)
	got := get[api.Definitions](c, "/v1/namespaces/payments.prod/definitions")
	want := api.Definitions{Namespace: "payments.prod", Revision: 1, Position: 3, Definitions: map[events.Key]api.Definition{
		"db.max_conns": {Definition: events.Definition{Kind: "int", Default: "20", Min: "1", Max: "100"}, From: "payments", Revision: 1, Position: 2},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	one := get[api.KeyDefinition](c, "/v1/namespaces/payments.prod/definitions/db.max_conns")
	if diff := cmp.Diff(api.KeyDefinition{Namespace: "payments.prod", Key: "db.max_conns", Definition: want.Definitions["db.max_conns"]}, one); diff != "" {
		t.Error(diff)
	}
}

func TestEventsInPages(t *testing.T) {
	c := serve(t, nil)
	c.post("a", `{"do":"create","open":true}`)
	c.post("b", `{"do":"create","open":true}`)
	for i := range 5 {
		c.post("a", fmt.Sprintf(`{"do":"set","key":"k%d","value":%d}`, i%2, i))
	}
	positions := func(path string) (got []events.Position) {
		t.Helper()
		for after, more := events.Position(0), true; more; {
			page := get[api.Events](c, fmt.Sprintf("%s&limit=2&after=%d", path, after))
			for _, ev := range page.Events {
				got = append(got, ev.Position)
			}
			if page.Head != 7 {
				t.Errorf("%s: got head %d", path, page.Head)
			}
			after, more = page.Next, page.Next != 0
		}
		return got
	}
	for path, want := range map[string][]events.Position{
		"/v1/events?min_position=7":          {1, 2, 3, 4, 5, 6, 7},
		"/v1/namespaces/a/events?wait=1s":    {1, 3, 4, 5, 6, 7},
		"/v1/namespaces/a/events?key=k1":     {4, 6},
		"/v1/namespaces/b/events?wait=250ms": {2},
	} {
		if diff := cmp.Diff(want, positions(path)); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
}

// Large values make a page shorter than its limit, and lose nothing.
func TestEventsInPagesOfLargeValues(t *testing.T) {
	c := serve(t, nil)
	c.post("a", `{"do":"create","open":true}`)
	value := strings.Repeat("x", 250_000)
	for i := range 12 {
		var sets []string
		for _, key := range []string{"k", "l", "m"} {
			sets = append(sets, fmt.Sprintf(`{"do":"set","key":%q,"value":"%d%s"}`, key, i, value))
		}
		c.post("a", strings.Join(sets, ","))
	}
	first := get[api.Events](c, "/v1/events?limit=1000")
	rest := get[api.Events](c, fmt.Sprintf("/v1/events?limit=1000&after=%d", first.Next))
	if n := len(first.Events); n == 0 || n > 36 || first.Next != first.Events[n-1].Position {
		t.Fatalf("the first page has %d events, and %d is next", n, first.Next)
	}
	for i, ev := range append(first.Events, rest.Events...) {
		if ev.Position != events.Position(i+1) {
			t.Fatalf("event %d has position %d", i+1, ev.Position)
		}
	}
	if n := len(first.Events) + len(rest.Events); n != 37 || rest.Next != 0 {
		t.Errorf("got %d events in two pages, and %d is next", n, rest.Next)
	}
}

// A view in Redis that says something else than the log shows where an answer comes from.
const fromRedis, fromLog = "1", "2"

// serveBoth starts an API whose Redis holds free/k as of position 2, and whose log is at position 3.
func serveBoth(t *testing.T, url string) *client {
	t.Helper()
	rdb := quickRedis(t, url)
	c := serve(t, rdb)
	c.post("free", `{"do":"create","open":true},{"do":"set","key":"k","value":1}`)
	c.post("free", `{"do":"set","key":"k","value":2}`)
	putView(t, rdb, "free", view.Head{Epoch: c.epoch(), Term: 1, Position: 2, Revision: 1}, map[events.Key]view.Entry{
		"k": {Value: fromRedis, Kind: events.Int, Revision: 1, Position: 2, From: "free"},
	})
	return c
}

func (c *client) epoch() string {
	c.t.Helper()
	head, err := c.log.Head(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return head.Epoch
}

// wantValue reads free/k, alone and among all values.
func (c *client) wantValue(query, want string, source api.Source) {
	c.t.Helper()
	one := get[api.Value](c, "/v1/namespaces/free/values/k"+query)
	if string(one.Value) != want || one.Source != source {
		c.t.Errorf("one%s: got %+v, want %s from %s", query, one, want, source)
	}
	all := get[api.Values](c, "/v1/namespaces/free/values"+query)
	if e := all.Values["k"]; string(e.Value) != want || all.Source != source {
		c.t.Errorf("all%s: got %+v, want %s from %s", query, all, want, source)
	}
}

func TestValues(t *testing.T) {
	url, rdb := testenv.Redis(t)
	c := serveBoth(t, url)
	want := api.Values{Namespace: "free", Epoch: c.epoch(), Revision: 1, Position: 2, Source: api.FromRedis, Values: map[events.Key]api.Entry{
		"k": {Entry: view.Entry{Value: fromRedis, Kind: events.Int, Revision: 1, Position: 2, From: "free"}},
	}}
	if diff := cmp.Diff(want, get[api.Values](c, "/v1/namespaces/free/values")); diff != "" {
		t.Error(diff)
	}
	if err := rdb.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	want = api.Values{Namespace: "free", Epoch: c.epoch(), Revision: 2, Position: 3, Source: api.FromLog, Values: map[events.Key]api.Entry{
		"k": {Entry: view.Entry{Value: fromLog, Kind: events.Int, Revision: 2, Position: 3, From: "free"}},
	}}
	if diff := cmp.Diff(want, get[api.Values](c, "/v1/namespaces/free/values")); diff != "" {
		t.Error(diff)
	}
	c.do("GET", "/v1/namespaces/nowhere/values/k", "").problem(t, api.ProblemNamespaceNotFound)
}

func TestValuesByPrefix(t *testing.T) {
	c := serve(t, nil)
	c.post("free", `{"do":"create","open":true},{"do":"set","key":"db.a","value":1},{"do":"set","key":"dc","value":2}`)
	all := get[api.Values](c, "/v1/namespaces/free/values?prefix=db.")
	want := map[events.Key]api.Entry{"db.a": {Entry: view.Entry{Value: "1"}}}
	if diff := cmp.Diff(want, all.Values, cmpopts.IgnoreFields(view.Entry{}, "Kind", "Revision", "Position", "From")); diff != "" {
		t.Error(diff)
	}
}

// TestTamperedView: a view that lost a key is not taken for one whose key was deleted.
func TestTamperedView(t *testing.T) {
	url, rdb := testenv.Redis(t)
	c := serveBoth(t, url)
	if err := rdb.HDel(t.Context(), view.ValuesKey("free"), "k").Err(); err != nil {
		t.Fatal(err)
	}
	c.wantValue("", fromLog, api.FromLog)
}

func TestNotModified(t *testing.T) {
	c := serve(t, nil)
	c.post("free", `{"do":"create","open":true},{"do":"set","key":"k","value":1}`)
	for match, want := range map[string]int{
		`"2"`: 304, `W/"2"`: 304, `"1", "2"`: 304, "*": 304, `"1"`: 200, "2": 200, "": 200,
	} {
		a := c.do("GET", "/v1/namespaces/free/values/k", "", "If-None-Match", match)
		if a.status != want || a.header.Get("ETag") != `"2"` || (len(a.body) == 0) != (want == 304) {
			t.Errorf("If-None-Match %s: got %d, ETag %s, %s", match, a.status, a.header.Get("ETag"), a.body)
		}
	}
}

func TestMinPosition(t *testing.T) {
	url, rdb := testenv.Redis(t)
	c := serveBoth(t, url)
	c.wantValue("?min_position=2", fromRedis, api.FromRedis)
	c.wantValue("?min_position=3", fromLog, api.FromLog)
	beat(t, rdb, "another-epoch", 3, time.Now())
	c.wantValue("?min_position=3", fromLog, api.FromLog)
	beat(t, rdb, c.epoch(), 3, time.Now()) // the projector: position 3 touched no view
	c.wantValue("?min_position=3", fromRedis, api.FromRedis)
}

// TestMinPositionWaits: a position that the log has not reached is waited for.
func TestMinPositionWaits(t *testing.T) {
	c := serve(t, nil)
	c.post("free", `{"do":"create","open":true}`)
	answers := make(chan answer, 1)
	go func() {
		a, err := c.try("GET", "/v1/namespaces/free/values?min_position=2&wait=30s", "")
		if err != nil {
			t.Error(err)
		}
		answers <- a
	}()
	a := c.do("GET", "/v1/namespaces/free/values?min_position=2&wait=20ms", "")
	if p := a.problem(t, api.ProblemNotReached); p.Position != 1 || !strings.Contains(p.Detail, "the log ends at 1") {
		t.Errorf("got %s", a.body)
	}
	select {
	case a := <-answers:
		t.Fatalf("answered before position 2 was there: %s", a.body)
	default:
	}
	c.post("free", `{"do":"set","key":"k","value":7}`)
	if v := decoded[api.Values](t, <-answers); v.Values["k"].Value != "7" || v.Position < 2 {
		t.Errorf("got %+v", v)
	}
	for _, path := range []string{"/v1/namespaces", "/v1/namespaces/free", "/v1/namespaces/free/definitions", "/v1/namespaces/free/events", "/v1/events"} {
		c.do("GET", path+"?min_position=3&wait=1ms", "").problem(t, api.ProblemNotReached)
	}
}

// TestRedisFails: whatever happens to Redis, reads are answered from the log, and only the first is slowed down.
func TestRedisFails(t *testing.T) {
	for name, fail := range map[string]func(*testenv.Network){
		"cut":  (*testenv.Network).Cut,
		"hung": (*testenv.Network).Hang,
	} {
		t.Run(name, func(t *testing.T) {
			url, _ := testenv.Redis(t)
			network := testenv.Proxy(t, url)
			c := serveBoth(t, network.URL)
			c.wantValue("", fromRedis, api.FromRedis)
			fail(network)
			start := time.Now()
			const reads = 50
			for range reads {
				c.wantValue("", fromLog, api.FromLog)
			}
			// Without the rest after a failure, hung reads alone would take 2 × 50 × 0.3 s.
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("%d reads took %s", reads, took)
			}
			network.Restore()
			testenv.Eventually(t, "Redis is read again", func() bool {
				return get[api.Value](c, "/v1/namespaces/free/values/k").Source == api.FromRedis
			})
		})
	}
}

func TestReadyz(t *testing.T) {
	url, _ := testenv.Redis(t)
	network := testenv.Proxy(t, url)
	rdb := quickRedis(t, network.URL)
	c := serve(t, rdb)
	if got := c.do("GET", "/livez", ""); got.status != http.StatusOK {
		t.Errorf("got %d %s", got.status, got.body)
	}
	ready := func() api.Ready { t.Helper(); return get[api.Ready](c, "/readyz") }
	if r := ready(); !r.Ready || !r.Degraded || r.Parts["projector"].OK || !r.Parts["redis"].OK {
		t.Errorf("no projector yet: got %+v", r)
	}
	beat(t, rdb, c.epoch(), 0, time.Now())
	if r := ready(); !r.Ready || r.Degraded || !r.Parts["projector"].OK {
		t.Errorf("all well: got %+v", r)
	}
	beat(t, rdb, c.epoch(), 0, time.Now().Add(-time.Minute))
	if r := ready(); !r.Ready || r.Parts["projector"].OK || !strings.Contains(r.Parts["projector"].Why, "1m") {
		t.Errorf("old heartbeat: got %+v", r)
	}
	network.Cut()
	if r := ready(); !r.Ready || !r.Degraded || r.Parts["redis"].OK {
		t.Errorf("no redis: got %+v", r)
	}
	c.log.Close()
	a := c.do("GET", "/readyz", "")
	if a.status != http.StatusServiceUnavailable || !strings.Contains(string(a.body), `"postgres":{"ok":false`) {
		t.Errorf("no postgres: got %d %s", a.status, a.body)
	}
}

// TestReadyzOfSealing: where the log is sealed in this process, it is said how that does, and no more than that.
func TestReadyzOfSealing(t *testing.T) {
	var st audit.SealerStatus
	c := serveConfig(t, api.Config{Log: testenv.Log(t), Sealer: func() audit.SealerStatus { return st }})
	for _, test := range []struct {
		name     string
		status   audit.SealerStatus
		want     api.Part
		degraded bool
	}{
		{"it seals", audit.SealerStatus{Active: true, Size: 5}, api.Part{OK: true, Active: true, Position: 5}, false},
		{"it refuses", audit.SealerStatus{Active: true, Size: 5, Err: errors.New("it ends at 3")},
			api.Part{Active: true, Position: 5, Why: "it ends at 3"}, true},
		{"it stands by", audit.SealerStatus{Size: 5, Err: errors.New("from when it was elected")}, api.Part{OK: true, Position: 5}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			st = test.status
			r := get[api.Ready](c, "/readyz") // hence with status 200
			if diff := cmp.Diff(test.want, r.Parts["sealing"]); diff != "" || !r.Ready || r.Degraded != test.degraded {
				t.Errorf("got %+v %s", r, diff)
			}
		})
	}
	if r := get[api.Ready](serve(t, nil), "/readyz"); len(r.Parts) != 3 {
		t.Errorf("nothing is sealed here: got %+v", r)
	}
}
