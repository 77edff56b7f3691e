package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
)

// shop is a short history: payments to revision 3, payments.prod to 4, which is tagged as 3.
func shop(c *client) {
	c.post("payments", `{"do":"create"},`+define)
	c.post("payments.prod", `{"do":"create"}`)
	c.post("payments.prod", `{"do":"set","key":"db.max_conns","value":40}`)
	c.do("POST", "/v1/namespaces/payments/commands", `{"commands":[{"do":"set","key":"db.max_conns","value":30}],"reason":"more"}`, api.HeaderActor, "bob")
	c.post("payments.prod", `{"do":"unset","key":"db.max_conns"}`)
	c.post("payments.prod", `{"do":"tag","tag":"before-sale","revision":3}`)
	c.post("payments", `{"do":"define","key":"db.max_conns","definition":{"kind":"int","default":25}}`)
}

// lines writes change sets so that a table reads well: revision namespace: key old → new.
func lines(history []api.ChangeSet) (all []string) {
	for _, cs := range history {
		text := fmt.Sprintf("%d %s:", cs.Revision, cs.Namespace)
		for _, ch := range cs.Changes {
			if name, _, _ := strings.Cut(ch.Type, ".v"); ch.Key == "" {
				text += " " + name
				continue
			}
			text += fmt.Sprintf(" %s %s → %s", ch.Key, heldText(ch.Old), heldText(ch.New))
		}
		if r := cs.RestoredFrom; r != nil {
			text += fmt.Sprintf(" (restores %d of %s)", r.Revision, r.Namespace)
		}
		all = append(all, text)
	}
	return all
}

func heldText(h *api.Held) string {
	if h == nil {
		return "–"
	}
	text := string(h.Value)
	if h.Definition != nil {
		text += "(" + string(h.Definition.Kind) + " " + string(h.Definition.Default) + ")"
	}
	if h.Masked {
		text += "*"
	}
	return text
}

func TestHistory(t *testing.T) {
	c := serve(t, nil)
	shop(c)
	const prod = "/v1/namespaces/payments.prod/history"
	for path, want := range map[string][]string{
		prod: {"4 payments.prod: namespace.tagged", "3 payments.prod: db.max_conns 40 → –", "2 payments.prod: db.max_conns – → 40", "1 payments.prod: namespace.created"},
		prod + "?key=db.max_conns&ancestors=true&order=oldest": {"1 payments: db.max_conns – → (int 20)", "2 payments.prod: db.max_conns – → 40",
			"2 payments: db.max_conns – → 30", "3 payments.prod: db.max_conns 40 → –", "3 payments: db.max_conns (int 20) → (int 25)"},
		prod + "?type=value.unset,namespace.created":                    {"3 payments.prod: db.max_conns 40 → –", "1 payments.prod: namespace.created"},
		"/v1/history?actor=bob":                                         {"2 payments: db.max_conns – → 30"},
		"/v1/history?since=@4&until=@5&order=oldest":                    {"2 payments.prod: db.max_conns – → 40", "2 payments: db.max_conns – → 30"},
		"/v1/history?until=2020-01-01":                                  nil,
		"/v1/history?since=2020-01-01T00:00:00Z&type=namespace.created": {"1 payments.prod: namespace.created", "1 payments: namespace.created"},
	} {
		if diff := cmp.Diff(want, lines(get[api.History](c, path).History), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
	one := get[api.History](c, "/v1/history?actor=bob").History[0]
	if one.Actor != "bob" || one.Reason != "more" || one.Position != 5 || one.Time.IsZero() {
		t.Errorf("got %+v", one)
	}
	c.do("GET", "/v1/namespaces/nowhere/history", "").problem(t, api.ProblemNamespaceNotFound)
	for _, query := range []string{"cursor=x", "type=value.sat", "since=before-sale", "since=41", "order=up", "reveal=yes", "until=yesterday at noon"} {
		c.do("GET", prod+"?"+strings.ReplaceAll(query, " ", "+"), "").problem(t, api.ProblemBadParameter)
	}
}

// A stream is asked for by its media type, however the header writes it; by nothing else.
func TestHistoryAccept(t *testing.T) {
	c := serve(t, nil)
	shop(c)
	for accept, want := range map[string]string{
		"application/x-ndjson": "application/x-ndjson", "application/x-ndjson, */*": "application/x-ndjson",
		"application/json;q=0.5, Application/X-NDJSON;charset=utf-8": "application/x-ndjson", "*/*,application/x-ndjson;q=0.1": "application/x-ndjson",
		"": "application/json", "*/*": "application/json", "application/x-ndjson;q=0": "application/json", "application/*": "application/json",
		"application/x-ndjson-not, ;, text/html": "application/json",
	} {
		a := c.do("GET", "/v1/history", "", "Accept", accept)
		if got := a.header.Get("Content-Type"); a.status != http.StatusOK || got != want {
			t.Errorf("Accept: %s: got %d, %s, want %s", accept, a.status, got, want)
		}
	}
}

// Pages of any size, in either order, and the stream have the same change sets, each whole and once.
func TestHistoryInPages(t *testing.T) {
	c := serve(t, nil)
	c.post("a", `{"do":"create","open":true}`)
	c.post("a.b", `{"do":"create","open":true}`)
	for i := range 70 {
		var sets []string
		for j := range 1 + i*7%5 {
			sets = append(sets, fmt.Sprintf(`{"do":"set","key":"k%d","value":%d}`, j, i))
		}
		c.post([]string{"a", "a.b"}[i%2], strings.Join(sets, ","))
	}
	for _, order := range []string{"oldest", "newest"} {
		path := "/v1/namespaces/a.b/history?ancestors=true&order=" + order
		a := c.do("GET", path, "", "Accept", "application/x-ndjson")
		if got := a.header.Get("Content-Type"); got != "application/x-ndjson" {
			t.Errorf("the stream is %s", got)
		}
		var streamed []api.ChangeSet
		for line := range bytes.Lines(a.body) {
			streamed = append(streamed, decoded[api.ChangeSet](t, answer{status: 200, body: line}))
		}
		if len(streamed) != 72 {
			t.Fatalf("%s: %d change sets are streamed", order, len(streamed))
		}
		for _, limit := range []int{1, 9, 71, 72, 100} {
			var paged []api.ChangeSet
			for next := ""; ; {
				page := get[api.History](c, fmt.Sprintf("%s&limit=%d%s", path, limit, next))
				if n := len(page.History); n > limit || n < limit && page.Next != "" {
					t.Fatalf("%s: a page of %d has %d", order, limit, n)
				}
				paged = append(paged, page.History...)
				if page.Next == "" {
					break
				}
				next = "&cursor=" + url.QueryEscape(page.Next)
			}
			if diff := cmp.Diff(streamed, paged); diff != "" {
				t.Fatalf("%s, pages of %d: %s", order, limit, diff)
			}
		}
		first := get[api.History](c, path+"&limit=1")
		other := map[string]string{"oldest": "newest", "newest": "oldest"}[order]
		c.do("GET", "/v1/namespaces/a.b/history?order="+other+"&cursor="+first.Next, "").problem(t, api.ProblemBadParameter)
	}
}

// One change set can replace more than fits into memory for every caller: what is over the bound is left out, and says so.
func TestHistoryOfLargeValues(t *testing.T) {
	c := serve(t, nil)
	c.post("a", `{"do":"create","open":true}`)
	const keys, size = 40, 256_000
	value := strings.Repeat("x", size-2)
	var unset []string
	for i := range keys {
		c.post("a", fmt.Sprintf(`{"do":"set","key":"k%02d","value":"%s"}`, i, value))
		unset = append(unset, fmt.Sprintf(`{"do":"unset","key":"k%02d"}`, i))
	}
	c.post("a", strings.Join(unset, ","))
	c.post("a", `{"do":"set","key":"after","value":1}`)
	for order, whole := range map[string]int{"newest": 1, "oldest": keys + 1} {
		var all []api.ChangeSet
		a := c.do("GET", "/v1/namespaces/a/history?order="+order, "", "Accept", "application/x-ndjson")
		for line := range bytes.Lines(a.body) {
			all = append(all, decoded[api.ChangeSet](t, answer{status: 200, body: line}))
		}
		if len(all) != keys+3 {
			t.Fatalf("%s: got %d change sets", order, len(all))
		}
		omitted, shown := 0, 0
		for i, ch := range all[whole].Changes {
			if ch.Key != events.Key(fmt.Sprintf("k%02d", i)) || ch.Omitted != (ch.Old == nil) || ch.New != nil {
				t.Fatalf("%s: change %d is %s, omitted %t", order, i, ch.Key, ch.Omitted)
			}
			if ch.Omitted {
				omitted++
			} else {
				shown += len(ch.Old.Value)
			}
		}
		if omitted == 0 || shown < 8<<20 || shown > 8<<20+size {
			t.Errorf("%s: %d are left out, and %d bytes shown", order, omitted, shown)
		}
		all = append(all[:whole], all[whole+1:]...)
		for _, cs := range all {
			for _, ch := range cs.Changes {
				if ch.Omitted || ch.Key != "" && ch.New == nil {
					t.Errorf("%s: %s at %d is left out", order, ch.Key, ch.Position)
				}
			}
		}
	}
}

// Events have the same filters, and go on in their order.
func TestEventsFiltered(t *testing.T) {
	c := serve(t, nil)
	shop(c)
	for query, want := range map[string][]events.Position{
		"/v1/events?order=newest":                                             {8, 7, 6, 5, 4, 3, 2, 1},
		"/v1/events?actor=bob":                                                {5},
		"/v1/events?type=value.set&order=newest":                              {5, 4},
		"/v1/namespaces/payments.prod/events?ancestors=true&key=db.max_conns": {2, 4, 5, 6, 8},
		"/v1/namespaces/payments.prod/events?since=@4&until=@6":               {4, 6},
	} {
		var got []events.Position
		for after, more := events.Position(0), true; more; {
			page := get[api.Events](c, fmt.Sprintf("%s&limit=2&after=%d", query, after))
			for _, ev := range page.Events {
				got = append(got, ev.Position)
			}
			after, more = page.Next, page.Next != 0
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
}

func TestAsOf(t *testing.T) {
	c := serve(t, nil)
	shop(c)
	const prod = "/v1/namespaces/payments.prod"
	second := get[api.History](c, prod+"/history?order=oldest").History[1]
	for at, want := range map[string]string{
		"1": "20", "2": "40", "@4": "40", "3": "30", "@5": "40", "4": "30", "@8": "30", "before-sale": "30", second.Time.Format(time.RFC3339Nano): "40",
	} {
		one := get[api.Value](c, prod+"/values/db.max_conns?at="+url.QueryEscape(at))
		all := get[api.Values](c, prod+"/values?at="+url.QueryEscape(at))
		if string(one.Value) != want || string(all.Values["db.max_conns"].Value) != want || one.Source != api.FromLog || all.Source != api.FromLog {
			t.Errorf("at %s: got %+v and %+v, want %s", at, one, all, want)
		}
	}
	at := get[api.Values](c, prod+"/values?at=@5")
	if at.Revision != 2 || at.Position != 5 {
		t.Errorf("at @5: got revision %d, position %d", at.Revision, at.Position)
	}
	was := get[api.Definitions](c, prod+"/definitions?at=3")
	if d := was.Definitions["db.max_conns"]; string(d.Default) != "20" || was.Revision != 3 || was.Position != 6 {
		t.Errorf("definitions at 3: got %+v", was)
	}
	if d := get[api.KeyDefinition](c, prod+"/definitions/db.max_conns?at=before-sale"); string(d.Default) != "20" {
		t.Errorf("definition before the sale: got %+v", d)
	}
	for at, typ := range map[string]string{
		"5": api.ProblemUnknownPoint, "@9": api.ProblemUnknownPoint, "@2": api.ProblemUnknownPoint, "after-sale": api.ProblemUnknownPoint,
		"2020-01-01": api.ProblemUnknownPoint, "-1": api.ProblemBadParameter, "0": api.ProblemBadParameter,
	} {
		c.do("GET", prod+"/values?at="+at, "").problem(t, typ)
	}
	p := c.do("GET", prod+"/values?at=@2", "").problem(t, api.ProblemUnknownPoint)
	if !strings.Contains(p.Detail, "the namespace exists since ") || !strings.Contains(p.Detail, "position 3") {
		t.Errorf("got %q", p.Detail)
	}
	c.do("GET", "/v1/namespaces/nowhere/values?at=1", "").problem(t, api.ProblemNamespaceNotFound)
}

func TestTags(t *testing.T) {
	c := serve(t, nil)
	shop(c)
	c.post("payments.prod", `{"do":"tag","tag":"a"},{"do":"tag","tag":"after-sale","revision":3}`)
	want := api.Tags{Namespace: "payments.prod", Tags: []api.Tag{{Tag: "after-sale", Revision: 3}, {Tag: "before-sale", Revision: 3}, {Tag: "a", Revision: 5}}}
	if diff := cmp.Diff(want, get[api.Tags](c, "/v1/namespaces/payments.prod/tags")); diff != "" {
		t.Error(diff)
	}
	if got := get[api.Tags](c, "/v1/namespaces/payments/tags"); got.Tags == nil || len(got.Tags) > 0 {
		t.Errorf("got %+v", got)
	}
	c.do("POST", "/v1/namespaces/payments.prod/commands", `{"commands":[{"do":"tag","tag":"a"}]}`).problem(t, api.ProblemTagInUse)
	c.do("POST", "/v1/namespaces/payments.prod/commands", `{"commands":[{"do":"untag","tag":"b"}]}`).problem(t, api.ProblemUnknownPoint)
}

func TestDiff(t *testing.T) {
	c := serve(t, nil)
	shop(c)
	const prod = "/v1/namespaces/payments.prod/diff"
	for query, want := range map[string]string{
		"?from=2":                               "db.max_conns 40 → 30",
		"?from=2&to=3":                          "db.max_conns 40 → 30",
		"?from=2&to=3&own=true":                 "db.max_conns 40 → –",
		"?from=before-sale":                     "",
		"?from=before-sale&definitions=true":    "db.max_conns 30(int 20) → 30(int 25)",
		"?against=payments":                     "",
		"?against=payments&own=true":            "db.max_conns – → 30",
		"?from=1&against=payments&to=1":         "",
		"?from=1&against=payments":              "db.max_conns 20 → 30",
		"?from=@6&to=@8&own=true&definitions=1": "",
	} {
		var got []string
		for _, d := range get[api.Diff](c, prod+query).Differences {
			got = append(got, fmt.Sprintf("%s %s → %s", d.Key, heldText(d.From), heldText(d.To)))
		}
		if diff := cmp.Diff(want, strings.Join(got, "; ")); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
	got := get[api.Diff](c, prod+"?from=2&against=payments")
	if got.From != (api.Side{Namespace: "payments.prod", Revision: 2, Position: 4}) || got.To.Namespace != "payments" || got.To.Revision != 3 {
		t.Errorf("got %+v", got)
	}
	for query, typ := range map[string]string{
		"": api.ProblemBadParameter, "?from=1&to=1": api.ProblemBadParameter, "?from=x!": api.ProblemBadParameter,
		"?against=..": api.ProblemBadParameter, "?against=nowhere": api.ProblemNamespaceNotFound, "?to=9": api.ProblemUnknownPoint,
	} {
		c.do("GET", prod+query, "").problem(t, typ)
	}
}

// reveals answers, of every route that may show values, whether it does.
func reveals(t *testing.T, c *client, query string) map[string]bool {
	t.Helper()
	shown := map[string]bool{}
	for _, path := range []string{
		"/values", "/values/token", "/values?at=2", "/values/token?at=2", "/values?at=3", "/values/token?at=3",
		"/definitions", "/definitions/token", "/definitions?at=2", "/definitions/token?at=2", "/definitions?at=3",
		"/events", "/history", "/diff?from=1&to=2&definitions=true", "/diff?from=2&to=3", "/diff?from=2&to=3&own=true&definitions=true",
	} {
		if joined := "?" + query; query != "" && strings.Contains(path, "?") {
			path += "&" + query
		} else if query != "" {
			path += joined
		}
		a := c.do("GET", "/v1/namespaces/shop.eu"+path, "")
		shown[path] = strings.Contains(string(a.body), secret)
		if a.status != http.StatusOK {
			shown[path+" "+fmt.Sprint(a.status)] = true
		}
	}
	for _, path := range []string{"/v1/events", "/v1/history"} {
		if query != "" {
			path += "?" + query
		}
		shown[path] = strings.Contains(string(c.do("GET", path, "").body), secret)
	}
	if query != "" {
		query = "&" + query
	}
	a := c.do("POST", "/v1/namespaces/shop.eu/commands?dry_run=true"+query, `{"commands":[{"do":"set","key":"token","value":"`+secret+`!"}]}`)
	shown["dry run"] = strings.Contains(string(a.body), secret)
	a = c.do("POST", "/v1/namespaces/shop.eu/commands?dry_run=true"+query, `{"commands":[{"do":"define","key":"new","definition":{"kind":"string","sensitive":true,"default":"`+secret+`"}},{"do":"set","key":"new","value":"`+secret+`!"}]}`)
	shown["dry run of a new key"] = strings.Contains(string(a.body), secret)
	return shown
}

// Sensitive values are in no answer, whether the definition that says so is above, gone, or came after; unless the caller
// asks for them and may see them.
func TestSensitiveIsMasked(t *testing.T) {
	log := testenv.Log(t)
	c := serveConfig(t, api.Config{Log: log})
	c.post("shop", `{"do":"create","open":true},{"do":"set","key":"token","value":"`+secret+`0"}`)
	c.post("shop.eu", `{"do":"create","open":true}`)
	c.post("shop", `{"do":"define","key":"token","definition":{"kind":"string","default":"`+secret+`1","sensitive":true}}`)
	c.post("shop.eu", `{"do":"set","key":"token","value":"`+secret+`2"}`)
	c.post("shop.eu", `{"do":"define","key":"token","definition":{"kind":"string","default":"`+secret+`3","sensitive":true}},{"do":"set","key":"token","value":"`+secret+`4"}`)
	for path, shown := range reveals(t, c, "") {
		if shown {
			t.Errorf("%s shows it", path)
		}
	}
	one := get[api.Value](c, "/v1/namespaces/shop.eu/values/token")
	if one.Value != "null" || !one.Masked || !one.Sensitive || one.Kind != events.String || one.From != "shop.eu" {
		t.Errorf("got %+v", one)
	}
	c.post("shop.eu.west", `{"do":"create","open":true},{"do":"define","key":"token","definition":{"kind":"string","default":"`+secret+`5"}}`)
	if one := get[api.Value](c, "/v1/namespaces/shop.eu.west/values/token"); !one.Masked {
		t.Errorf("a definition below brings it to light: %+v", one)
	}
	if d := get[api.KeyDefinition](c, "/v1/namespaces/shop.eu.west/definitions/token"); !d.Masked {
		t.Errorf("a definition below shows its default: %+v", d)
	}
	if d := get[api.Definitions](c, "/v1/namespaces/shop.eu.west/definitions").Definitions["token"]; !d.Masked {
		t.Errorf("the list of definitions shows a default: %+v", d)
	}
	c.do("GET", "/v1/namespaces/shop.eu/values/token?reveal=true", "").problem(t, api.ProblemMayNotReveal)
	if a := c.do("GET", "/v1/namespaces/shop.eu/values/token?reveal=false", ""); a.status != http.StatusOK {
		t.Errorf("not asking is refused: %s", a.body)
	}

	open := serveConfig(t, api.Config{Log: log, MayReveal: func(r *http.Request) bool { return r.Header.Get("X-Who") != "" }})
	open.do("GET", "/v1/namespaces/shop.eu/values/token?reveal=true", "").problem(t, api.ProblemMayNotReveal)
	a := open.do("GET", "/v1/namespaces/shop.eu/values/token?reveal=true", "", "X-Who", "ann")
	if one := decoded[api.Value](t, a); string(one.Value) != `"`+secret+`4"` || one.Masked {
		t.Errorf("revealed: got %s", a.body)
	}
	everyone := serveConfig(t, api.Config{Log: log, MayReveal: api.RevealIf(true)})
	for path, shown := range reveals(t, everyone, "reveal=true") {
		if !shown {
			t.Errorf("%s does not reveal it", path)
		}
	}
	for path, shown := range reveals(t, everyone, "") {
		if shown {
			t.Errorf("%s shows it unasked", path)
		}
	}

	// What was sensitive once is masked in the past for ever.
	c.post("shop.eu", `{"do":"remove","key":"token"}`)
	c.post("shop", `{"do":"define","key":"token","definition":{"kind":"string"}},{"do":"set","key":"token","value":"open"}`)
	for path, shown := range reveals(t, c, "") {
		if shown {
			t.Errorf("after it was removed %s shows it", path)
		}
	}
	if one := get[api.Value](c, "/v1/namespaces/shop.eu/values/token"); string(one.Value) != `"open"` || one.Masked {
		t.Errorf("what is not sensitive any more is masked: %+v", one)
	}
}

// A change set that restores says what, also where only one of its changes is asked for.
func TestHistoryTellsRestores(t *testing.T) {
	c := serve(t, nil)
	c.post("a", `{"do":"create","open":true},{"do":"set","key":"k","value":1}`)
	c.post("a", `{"do":"set","key":"k","value":2}`)
	restored := events.NamespaceRestored{Namespace: "a", Revision: 1, Position: 2}
	_, err := c.log.Append(t.Context(), eventlog.Request{Namespace: "a", Actor: "ann"}, func(config.Tree) ([]events.Event, error) {
		return []events.Event{restored, events.ValueSet{Key: "k", Value: "1"}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{"?limit=1", "?key=k&limit=1", "?type=value.set&limit=1"} {
		got := lines(get[api.History](c, "/v1/namespaces/a/history"+query).History)
		if diff := cmp.Diff([]string{"3 a: k 2 → 1 (restores 1 of a)"}, got); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
}

// A stream that can not come to its end is cut off, and not taken for a whole one.
func TestHistoryStreamBreaksOff(t *testing.T) {
	owner, app := testenv.Database(t)
	log, err := eventlog.Open(t.Context(), eventlog.Config{URL: app})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	c := serveConfig(t, api.Config{Log: log})
	c.post("a", `{"do":"create","open":true}`)
	for i := range 150 {
		c.post("a", fmt.Sprintf(`{"do":"set","key":"k","value":%d}`, i))
	}
	conn, err := pgx.Connect(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `INSERT INTO events SELECT 152, 'a', 152, 'key.renamed.v1', 'k', '{}', 'x', '', now()`); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest("GET", c.url+"/v1/history?order=oldest", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/x-ndjson")
	resp, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if n := bytes.Count(text, []byte("\n")); err == nil || n < 100 || n > 151 {
		t.Errorf("got %d lines and %v, want a part and an error", n, err)
	}
	var last api.ChangeSet
	if err := json.Unmarshal(bytes.Split(text, []byte("\n"))[0], &last); err != nil {
		t.Errorf("the first line: %v", err)
	}
}
