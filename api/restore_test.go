package api_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/events"
)

// restore posts a restore that must be accepted, as its plan says.
func (c *client) restore(ns, body string) api.Restored {
	c.t.Helper()
	plan := c.plan(ns, body)
	return decoded[api.Restored](c.t, c.do("POST", "/v1/namespaces/"+ns+"/restore", expecting(c.t, body, plan)))
}

func (c *client) plan(ns, body string) api.RestorePlan {
	c.t.Helper()
	return decoded[api.RestorePlan](c.t, c.do("POST", "/v1/namespaces/"+ns+"/restore?dry_run=true", body))
}

// expecting adds to a body what a plan says is to be expected.
func expecting(t testing.TB, body string, plan api.RestorePlan) string {
	t.Helper()
	var r map[string]any
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatal(err)
	}
	r["to"] = fmt.Sprintf("@%d", plan.From.Position)
	r["expect"] = map[string]any{"revision": plan.Revision, "position": plan.Position}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// values returns the effective values as of a point; empty: now.
func (c *client) values(ns, at string) map[events.Key]events.Value {
	c.t.Helper()
	path := "/v1/namespaces/" + ns + "/values"
	if at != "" {
		path += "?at=" + at
	}
	all := map[events.Key]events.Value{}
	for key, e := range get[api.Values](c, path).Values {
		all[key] = e.Value
	}
	return all
}

// A real history: what redis.conf was from 2009 on, in 95 steps. As of each the values are what its lines say. Restoring
// step 40, and then the end, gives what was there, and history only grows.
func TestHistoryOfRedisConf(t *testing.T) {
	t.Parallel()
	file, err := os.Open("../projections/testdata/redis_conf_history.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	c := serve(t, nil)
	now := map[events.Key]events.Value{}
	var steps []map[events.Key]events.Value
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct {
			Set   map[events.Key]events.Value
			Unset []events.Key
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		do := ""
		if len(steps) == 0 {
			do = `,{"do":"create","open":true}`
		}
		for _, key := range slices.Sorted(maps.Keys(line.Set)) {
			do += fmt.Sprintf(`,{"do":"set","key":%q,"value":%s}`, key, line.Set[key])
			now[key] = line.Set[key]
		}
		for _, key := range line.Unset {
			do += fmt.Sprintf(`,{"do":"unset","key":%q}`, key)
			delete(now, key)
		}
		c.post("redis", do[1:])
		steps = append(steps, maps.Clone(now))
	}
	if lines.Err() != nil || len(steps) != 95 {
		t.Fatalf("posted %d steps, want 95: %v", len(steps), lines.Err())
	}
	sameAt := func(at string, want map[events.Key]events.Value) {
		t.Helper()
		if diff := cmp.Diff(want, c.values("redis", at)); diff != "" {
			t.Errorf("as of %q (-want +got):\n%s", at, diff)
		}
	}
	for i, want := range steps {
		sameAt(fmt.Sprint(i+1), want)
	}

	if w := c.restore("redis", `{"to":"40"}`); w.Revision != 96 {
		t.Errorf("restoring makes revision %d, want 96", w.Revision)
	}
	sameAt("", steps[39])
	if w := c.restore("redis", `{"to":"95"}`); w.Revision != 97 {
		t.Errorf("restoring again makes revision %d, want 97", w.Revision)
	}
	sameAt("", steps[94])
	sameAt("96", steps[39])
	sameAt("50", steps[49])
	last := get[api.History](c, "/v1/namespaces/redis/history?limit=1").History[0]
	if from := last.RestoredFrom; last.Revision != 97 || from == nil || from.Revision != 95 || from.Namespace != "redis" {
		t.Errorf("the history says %+v, restored from %+v", last, from)
	}
	if w := c.restore("redis", `{"to":"97"}`); w.Events != 0 || w.Revision != 97 {
		t.Errorf("restoring what is there appends: %+v", w)
	}
}

const (
	defineConns = `{"do":"define","key":"conns","definition":{"kind":"int","default":5}}`
	restoreShop = "/v1/namespaces/shop/restore"
)

// A plan says what would be done, and does nothing.
func TestRestorePlan(t *testing.T) {
	t.Parallel()
	c := serve(t, nil)
	c.post("shop", `{"do":"create","open":true},`+defineConns+`,{"do":"set","key":"host","value":"a"},{"do":"set","key":"gone","value":1}`)
	c.post("shop", `{"do":"remove","key":"conns"},{"do":"set","key":"host","value":"b"},{"do":"unset","key":"gone"},{"do":"set","key":"new","value":true}`)
	plan := c.plan("shop", `{"to":"1"}`)
	if plan.Revision != 2 || plan.Position != c.head() || !plan.DryRun || plan.From != (api.Side{Namespace: "shop", Revision: 1, Position: 4}) {
		t.Errorf("got %+v", plan)
	}
	held := func(value string) *api.Held { return &api.Held{Value: json.RawMessage(value)} }
	definition := &api.Held{Value: json.RawMessage("5"), Definition: &events.Definition{Kind: events.Int, Default: "5"}}
	want := []api.PlannedChange{
		{Key: "conns", Do: []string{"define"}, After: definition},
		{Key: "gone", Do: []string{"set"}, After: held("1")},
		{Key: "host", Do: []string{"set"}, Before: held(`"b"`), After: held(`"a"`)},
		{Key: "new", Do: []string{"unset"}, Before: held("true")},
	}
	if diff := cmp.Diff(want, plan.Changes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if some := c.plan("shop", `{"to":"1","keys":["host"]}`); len(some.Changes) != 1 || some.Changes[0].Key != "host" {
		t.Errorf("of one key: %+v", some.Changes)
	}
	if got := get[api.Namespace](c, "/v1/namespaces/shop"); got.Revision != 2 {
		t.Errorf("planning makes revision %d", got.Revision)
	}
}

// A change after the plan, here or above, is a conflict and stays; one elsewhere is none.
func TestRestoreConflicts(t *testing.T) {
	t.Parallel()
	c := serve(t, nil)
	c.post("up", `{"do":"create","open":true}`)
	c.post("up.shop", `{"do":"create","open":true},{"do":"set","key":"a","value":1}`)
	c.post("up.else", `{"do":"create","open":true}`)
	c.post("up.shop", `{"do":"set","key":"a","value":2}`)
	const path = "/v1/namespaces/up.shop/restore"
	body := expecting(t, `{"to":"1"}`, c.plan("up.shop", `{"to":"1"}`))

	c.post("up", `{"do":"set","key":"b","value":1}`)
	p := c.do("POST", path, body).problem(t, api.ProblemConflict)
	if len(p.Errors) != 1 || p.Errors[0].Pointer != "/expect/position" {
		t.Errorf("a change above: %+v", p)
	}
	body = expecting(t, `{"to":"1"}`, c.plan("up.shop", `{"to":"1"}`))
	c.post("up.shop", `{"do":"set","key":"a","value":3}`)
	c.do("POST", path, body).problem(t, api.ProblemConflict)
	c.do("POST", path, `{"to":"1","expect":{"revision":2}}`).problem(t, api.ProblemConflict)
	if got := c.values("up.shop", "")["a"]; got != "3" {
		t.Errorf("what was changed meanwhile is %s", got)
	}
	body = expecting(t, `{"to":"1"}`, c.plan("up.shop", `{"to":"1"}`))
	c.post("up.else", `{"do":"set","key":"a","value":3}`)
	first := decoded[api.Restored](t, c.do("POST", path, body, api.HeaderIdempotencyKey, "once", api.HeaderActor, "ann"))
	again := decoded[api.Restored](t, c.do("POST", path, body, api.HeaderIdempotencyKey, "once", api.HeaderActor, "ann"))
	if first.Replayed || !again.Replayed || again.Position != first.Position {
		t.Errorf("got %+v, then %+v", first, again)
	}
	body = expecting(t, `{"to":"1"}`, c.plan("up.shop", `{"to":"1"}`)) // which changes nothing any more
	first = decoded[api.Restored](t, c.do("POST", path, body, api.HeaderIdempotencyKey, "nothing"))
	again = decoded[api.Restored](t, c.do("POST", path, body, api.HeaderIdempotencyKey, "nothing"))
	if len(first.Left) == 0 || first.Replayed || !again.Replayed || len(again.Left) > 0 {
		t.Errorf("got %+v, then %+v: what a replayed answer left is not known", first, again)
	}
	if got := c.values("up.shop", "")["a"]; got != "1" {
		t.Errorf("restored is %s, want 1", got)
	}
}

// What is in force in another namespace is promoted; what a definition forbids is left.
func TestPromote(t *testing.T) {
	t.Parallel()
	c := serve(t, nil)
	c.post("staging", `{"do":"create","open":true},{"do":"set","key":"host","value":"a"},{"do":"set","key":"size","value":9}`)
	c.post("prod", `{"do":"create"},{"do":"define","key":"host","definition":{"kind":"string"}},{"do":"set","key":"host","value":"b"}`)
	body := `{"namespace":"staging","reason":"release"}`
	plan := c.plan("prod", body)
	c.post("staging", `{"do":"set","key":"host","value":"later"}`) // is not what was planned
	done := decoded[api.Restored](t, c.do("POST", "/v1/namespaces/prod/restore", expecting(t, body, plan)))
	if diff := cmp.Diff(map[events.Key]events.Value{"host": `"a"`}, c.values("prod", "")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(done.Left) != 2 || done.Left[1].Key != "size" || !slices.Equal(done.Left, plan.Left) {
		t.Errorf("planned to leave %v, left %v", plan.Left, done.Left)
	}
	last := get[api.History](c, "/v1/namespaces/prod/history?limit=1").History[0]
	if from := last.RestoredFrom; from == nil || from.Namespace != "staging" || from.Revision != 1 || last.Reason != "release" {
		t.Errorf("the history says %+v, restored from %+v", last, from)
	}
}

// No plan shows a sensitive value, nor one that is sensitive only where it comes from.
func TestRestorePlanMasks(t *testing.T) {
	t.Parallel()
	c := serveConfig(t, api.Config{Log: serve(t, nil).log, MayReveal: func(*http.Request) bool { return true }})
	c.post("staging", `{"do":"create"},{"do":"define","key":"token","definition":{"kind":"string","sensitive":true}},{"do":"set","key":"token","value":"`+secret+`"}`)
	c.post("prod", `{"do":"create"},{"do":"define","key":"token","definition":{"kind":"string"}},{"do":"set","key":"token","value":"other"}`)
	a := c.do("POST", "/v1/namespaces/prod/restore?dry_run=true", `{"namespace":"staging"}`)
	plan := decoded[api.RestorePlan](t, a)
	if change := plan.Changes[0]; !change.After.Masked || !change.Before.Masked || bytes.Contains(a.body, []byte(secret)) {
		t.Errorf("a sensitive value is shown: %s", a.body)
	}
	if a := c.do("POST", "/v1/namespaces/prod/restore?dry_run=true&reveal=true", `{"namespace":"staging"}`); !bytes.Contains(a.body, []byte(secret)) {
		t.Errorf("who may see it does not: %s", a.body)
	}
}

func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	c := serve(t, nil)
	c.post("shop", `{"do":"create","open":true},{"do":"set","key":"a","value":1}`)
	for name, tt := range map[string]struct{ path, body, problem string }{
		"no expectation":     {restoreShop, `{"to":"1"}`, api.ProblemExpectationMissing},
		"no point":           {restoreShop, `{"expect":{"revision":1}}`, api.ProblemMalformed},
		"now, of itself":     {restoreShop, `{"namespace":"shop","expect":{"revision":1}}`, api.ProblemMalformed},
		"no such point":      {restoreShop, `{"to":"1x","expect":{"revision":1}}`, api.ProblemMalformed},
		"beyond the present": {restoreShop, `{"to":"2","expect":{"revision":1}}`, api.ProblemUnknownPoint},
		"no such tag":        {restoreShop, `{"to":"sale","expect":{"revision":1}}`, api.ProblemUnknownPoint},
		"no such key":        {restoreShop, `{"to":"1","keys":["b"],"expect":{"revision":1}}`, api.ProblemUnknownKey},
		"bad key":            {restoreShop, `{"to":"1","keys":["a b"],"expect":{"revision":1}}`, api.ProblemBadName},
		"nowhere":            {"/v1/namespaces/none/restore", `{"to":"1","expect":{"revision":1}}`, api.ProblemNamespaceNotFound},
		"from nowhere":       {restoreShop, `{"namespace":"none","expect":{"revision":1}}`, api.ProblemNamespaceNotFound},
		"unknown member":     {restoreShop, `{"to":"1","expekt":{"revision":1}}`, api.ProblemMalformed},
		"member twice":       {restoreShop, `{"to":"1","to":"1"}`, api.ProblemMalformed},
		"no JSON":            {restoreShop, `{"to"`, api.ProblemMalformed},
		"a list":             {restoreShop, `[]`, api.ProblemMalformed},
		"long reason":        {restoreShop, `{"to":"1","reason":"` + strings.Repeat("x", events.MaxReasonBytes+1) + `","expect":{"revision":1}}`, api.ProblemOverLimit},
	} {
		t.Run(name, func(t *testing.T) {
			c.do("POST", tt.path, tt.body).problem(t, tt.problem)
		})
	}
	if got := get[api.Namespace](c, "/v1/namespaces/shop"); got.Revision != 1 {
		t.Errorf("what was refused makes revision %d", got.Revision)
	}
}
