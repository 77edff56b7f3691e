package api_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/events"
)

var update = flag.Bool("update", false, "write the golden files anew")

// secret is in every value that is refused, and must be in no answer and no log.
const secret = "hunter2"

// badRequests is bad input of every kind. The golden file of each is testdata/problems/<name>.json.
var badRequests = []struct {
	name, method, path, body string
	headers                  []string
	problem                  string
}{
	{"no-json", "POST", "/free/commands", `{"commands":[` + secret, nil, api.ProblemMalformed},
	{"empty-body", "POST", "/free/commands", "", []string{"Content-Type", "application/json"}, api.ProblemMalformed},
	{"not-an-object", "POST", "/free/commands", `["` + secret + `"]`, nil, api.ProblemMalformed},
	{"two-documents", "POST", "/free/commands", `{"commands":[{"do":"set","key":"k","value":1}]}{}`, nil, api.ProblemMalformed},
	{"unknown-member", "POST", "/free/commands", `{"commands":[{"do":"set","key":"k","value":"` + secret + `","vlaue":1}]}`, nil, api.ProblemMalformed},
	{"unknown-command", "POST", "/free/commands", `{"commands":[{"do":"destroy","key":"k"}]}`, nil, api.ProblemMalformed},
	{"no-commands", "POST", "/free/commands", `{"commands":[]}`, nil, api.ProblemMalformed},
	{"no-value", "POST", "/free/commands", `{"commands":[{"do":"set","key":"k"}]}`, nil, api.ProblemMalformed},
	{"not-utf8", "POST", "/free/commands", "{\"commands\":[{\"do\":\"set\",\"key\":\"k\",\"value\":\"\xff\"}]}", nil, api.ProblemMalformed},
	{"bad-key-in-body", "POST", "/free/commands", `{"commands":[{"do":"set","key":"a b","value":1}]}`, nil, api.ProblemBadName},
	{"too-many-commands", "POST", "/free/commands", `{"commands":[` + strings.Repeat(`{"do":"set","key":"k","value":1},`, 1000) + `{"do":"set","key":"k","value":1}]}`, nil, api.ProblemOverLimit},
	{"too-large", "POST", "/free/commands", `{"commands":[]}` + strings.Repeat(" ", events.MaxChangeSetBytes), nil, api.ProblemOverLimit},
	{"value-too-large", "PUT", "/free/values/k", `{"value":"` + strings.Repeat("x", events.MaxValueBytes) + `"}`, nil, api.ProblemOverLimit},
	{"bad-namespace", "POST", "/Free/commands", `{"commands":[{"do":"create"}]}`, nil, api.ProblemBadName},
	{"bad-key", "PUT", "/free/values/a:b", `{"value":1}`, nil, api.ProblemBadName},
	{"escaped-slash", "PUT", "/free/values/a%2Fb", `{"value":1}`, nil, api.ProblemBadName},
	{"escaped-letter", "PUT", "/free/values/%61", `{"value":1}`, nil, api.ProblemBadName},
	{"control-character", "PUT", "/free/values/a%00b", `{"value":1}`, nil, api.ProblemBadName},
	{"dot-dot", "PUT", "/free/values/../values/k", `{"value":1}`, nil, api.ProblemBadName},
	{"double-slash", "PUT", "/free//values/k", `{"value":1}`, nil, api.ProblemBadName},
	{"no-such-namespace", "PUT", "/nowhere/values/k", `{"value":"` + secret + `"}`, nil, api.ProblemNamespaceNotFound},
	{"exists-otherwise", "POST", "/free/commands", `{"commands":[{"do":"create","description":"other"}]}`, nil, api.ProblemNamespaceExists},
	{"unknown-key", "POST", "/strict/commands", `{"commands":[{"do":"set","key":"db.max_cons","value":1}]}`, nil, api.ProblemUnknownKey},
	{"invalid-value", "POST", "/strict/commands", `{"commands":[{"do":"set","key":"db.max_conns","value":"` + secret + `"}]}`, nil, api.ProblemInvalidValue},
	{"invalid-definition", "POST", "/strict/commands", `{"commands":[{"do":"define","key":"k","definition":{"kind":"int","min":2,"max":1}}]}`, nil, api.ProblemInvalidDefinition},
	{"violating-definition", "POST", "/strict/commands", `{"commands":[{"do":"define","key":"db.max_conns","definition":{"kind":"int","max":5}}]}`, nil, api.ProblemInvalidDefinition},
	{"required-key", "POST", "/strict/commands", `{"commands":[{"do":"remove","key":"db.host"}]}`, nil, api.ProblemRequiredKey},
	{"conflict", "POST", "/strict/commands", `{"commands":[{"do":"set","key":"db.max_conns","value":7,"expect":{"revision":9}}]}`, nil, api.ProblemConflict},
	{"put-no-value", "PUT", "/free/values/k", `{"reason":"why"}`, nil, api.ProblemMalformed},
	{"put-unknown-member", "PUT", "/free/values/k", `{"value":1,"valeu":"` + secret + `"}`, nil, api.ProblemMalformed},
	{"put-member-twice", "PUT", "/free/values/k", `{"value":1,"value":2}`, nil, api.ProblemMalformed},
	{"put-no-json", "PUT", "/free/values/k", `{"value":` + secret + `}`, nil, api.ProblemMalformed},
	{"put-reason-no-string", "PUT", "/free/values/k", `{"value":1,"reason":1}`, nil, api.ProblemMalformed},
	{"put-no-etag", "PUT", "/free/values/k", `{"value":1}`, []string{"If-Match", "4"}, api.ProblemBadParameter},
	{"put-both-preconditions", "PUT", "/free/values/k", `{"value":1}`, []string{"If-Match", `"4"`, "If-None-Match", "*"}, api.ProblemBadParameter},
	{"content-type", "POST", "/free/commands", `{"commands":[{"do":"set","key":"k","value":1}]}`, []string{"Content-Type", "text/plain"}, api.ProblemContentType},
	{"charset", "POST", "/free/commands", `{"commands":[{"do":"set","key":"k","value":1}]}`, []string{"Content-Type", "application/json; charset=latin1"}, api.ProblemContentType},
	{"content-encoding", "POST", "/free/commands", `{"commands":[{"do":"set","key":"k","value":1}]}`, []string{"Content-Encoding", "gzip"}, api.ProblemContentType},
	{"idempotency-key", "POST", "/free/commands", `{"commands":[{"do":"set","key":"k","value":1}]}`, []string{"Idempotency-Key", strings.Repeat("x", 256)}, api.ProblemBadParameter},
	{"empty-idempotency-key", "POST", "/free/commands", `{"commands":[{"do":"set","key":"k","value":1}]}`, []string{"Idempotency-Key", ""}, api.ProblemBadParameter},
	{"actor-too-long", "POST", "/free/commands", `{"commands":[{"do":"set","key":"k","value":1}]}`, []string{api.HeaderActor, strings.Repeat("x", 257)}, api.ProblemOverLimit},
	{"unknown-parameter", "POST", "/free/commands?dryrun=true", `{"commands":[{"do":"set","key":"k","value":1}]}`, nil, api.ProblemBadParameter},
	{"empty-parameter", "POST", "/free/commands?dry_run", `{"commands":[{"do":"set","key":"k","value":1}]}`, nil, api.ProblemBadParameter},
	{"parameter-twice", "POST", "/free/commands?dry_run=true&dry_run=false", `{"commands":[{"do":"set","key":"k","value":1}]}`, nil, api.ProblemBadParameter},
	{"no-bool", "POST", "/free/commands?dry_run=maybe", `{"commands":[{"do":"set","key":"k","value":1}]}`, nil, api.ProblemBadParameter},
	{"no-query", "GET", "/free/values?a=%zz", "", nil, api.ProblemBadParameter},
	{"no-number", "GET", "/free/events?limit=" + secret, "", nil, api.ProblemBadParameter},
	{"over-maximum", "GET", "/free/events?limit=1001", "", nil, api.ProblemBadParameter},
	{"negative", "GET", "/free/events?after=-1", "", nil, api.ProblemBadParameter},
	{"no-duration", "GET", "/free/values?min_position=1&wait=" + secret, "", nil, api.ProblemBadParameter},
	{"wait-too-long", "GET", "/free/values?min_position=1&wait=31s", "", nil, api.ProblemBadParameter},
	{"no-such-value", "GET", "/free/values/k", "", nil, api.ProblemNoValue},
	{"no-such-definition", "GET", "/free/definitions/k", "", nil, api.ProblemNoDefinition},
	{"read-nowhere", "GET", "/nowhere", "", nil, api.ProblemNamespaceNotFound},
	{"values-nowhere", "GET", "/nowhere/values", "", nil, api.ProblemNamespaceNotFound},
	{"events-nowhere", "GET", "/nowhere/events", "", nil, api.ProblemNamespaceNotFound},
	{"no-route", "GET", "/free/wishes", "", nil, api.ProblemNoRoute},
	{"method", "PATCH", "/free/values/k", `{"value":1}`, nil, api.ProblemMethod},
	{"cross-site", "PUT", "/free/values/k", `{"value":1}`, []string{"Sec-Fetch-Site", "cross-site"}, api.ProblemCrossOrigin},
	{"foreign-origin", "POST", "/free/commands", `{"commands":[{"do":"set","key":"k","value":1}]}`, []string{"Origin", "https://evil.example"}, api.ProblemCrossOrigin},
}

// TestBadRequests: each is answered with a clear 4xx, appends nothing, and nowhere repeats a value.
func TestBadRequests(t *testing.T) {
	c := serve(t, nil)
	c.post("free", `{"do":"create","open":true}`)
	c.post("strict", `{"do":"create"},`+define+`,{"do":"set","key":"db.max_conns","value":50},{"do":"define","key":"db.host","definition":{"kind":"string"}},
		{"do":"define","key":"db.port","definition":{"kind":"int","requires":["db.host"]}}`)
	before := c.head()
	for _, bad := range badRequests {
		t.Run(bad.name, func(t *testing.T) {
			a := c.do(bad.method, "/v1/namespaces"+bad.path, bad.body, bad.headers...)
			a.problem(t, bad.problem)
			if a.status < 400 || a.status > 499 {
				t.Errorf("got status %d", a.status)
			}
			if bytes.Contains(a.body, []byte(secret)) {
				t.Errorf("the answer repeats a value: %s", a.body)
			}
			golden(t, filepath.Join("testdata", "problems", bad.name+".json"), a.body)
		})
	}
	if after := c.head(); after != before {
		t.Errorf("bad requests moved the head from %d to %d", before, after)
	}
}

func golden(t *testing.T, name string, body []byte) {
	t.Helper()
	var got bytes.Buffer
	if err := json.Indent(&got, body, "", "  "); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Error(diff)
	}
}

func TestAllow(t *testing.T) {
	c := serve(t, nil)
	for path, want := range map[string]string{
		"/v1/namespaces/free/values/k": "DELETE, GET, PUT", "/v1/namespaces/free/commands": "POST", "/readyz": "GET",
	} {
		if got := c.do("PATCH", path, ""); got.header.Get("Allow") != want {
			t.Errorf("%s: got %d, Allow %q; want %q", path, got.status, got.header.Get("Allow"), want)
		}
	}
}

// TestHost: a web page whose name was given a loopback address is not answered.
func TestHost(t *testing.T) {
	c := serve(t, nil)
	ask := func(host string) int {
		t.Helper()
		req, err := http.NewRequest("GET", c.url+"/livez", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := c.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for _, host := range []string{"localhost", "localhost:8080", "LOCALHOST.", "127.0.0.1", "127.1.2.3:80", "[::1]:8080", "[::1]", "app.localhost"} {
		if got := ask(host); got != http.StatusOK {
			t.Errorf("%s: got %d", host, got)
		}
	}
	for _, host := range []string{"evil.example", "evil.example:8080", "10.0.0.1", "localhost.evil.example", "127.0.0.1.evil.example"} {
		if got := ask(host); got != http.StatusMisdirectedRequest {
			t.Errorf("%s: got %d", host, got)
		}
	}
}

// TestBrokenOffBody: a body that ends before its end is the sender's fault.
func TestBrokenOffBody(t *testing.T) {
	c := serve(t, nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "POST /v1/namespaces/free/commands HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+
		"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n")
	text, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(text, []byte("HTTP/1.1 400")) || !bytes.Contains(text, []byte(api.ProblemMalformed)) {
		t.Errorf("got %s", text)
	}
}
