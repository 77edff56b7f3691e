package api_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-config/holdfast/api"
)

// TestOpenAPI: the description is served as JSON, has every route and no other, its references lead somewhere, and every
// operation documents its answer and its problems.
func TestOpenAPI(t *testing.T) {
	c := serveConfig(t, api.Config{})
	a := c.do("GET", "/openapi.json", "")
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string
			RequestBody struct{ Content map[string]json.RawMessage }
			Responses   map[string]struct{ Content map[string]json.RawMessage }
		}
		Components struct{ Schemas map[string]json.RawMessage }
	}
	if err := json.Unmarshal(a.body, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" || a.header.Get("Content-Type") != "application/openapi+json" {
		t.Errorf("got version %s as %s", doc.OpenAPI, a.header.Get("Content-Type"))
	}
	const ns = "/v1/namespaces/{namespace}"
	want := []string{
		"DELETE " + ns + "/values/{key}", "GET /livez", "GET /readyz", "GET /v1/events", "GET /v1/namespaces", "GET " + ns,
		"GET " + ns + "/definitions", "GET " + ns + "/definitions/{key}", "GET " + ns + "/events", "GET " + ns + "/values",
		"GET " + ns + "/values/{key}", "GET " + ns + "/watch", "GET /v1/history", "GET " + ns + "/history", "GET " + ns + "/tags", "GET " + ns + "/diff",
		"GET " + ns + "/instances", "POST " + ns + "/commands", "PUT " + ns + "/values/{key}",
		"GET /v1/log/checkpoint", "GET /v1/log/key", "GET /v1/log/inclusion", "GET /v1/log/consistency", "GET /v1/log/tiles/{level}/{n}", "GET /v1/log/events",
		"GET /v1/replay", "POST /v1/replay", "POST " + ns + "/restore",
	}
	var got []string
	for path, operations := range doc.Paths {
		for method, op := range operations {
			route := strings.ToUpper(method) + " " + path
			got = append(got, route)
			answer := "application/json"
			for suffix, other := range map[string]string{"/watch": "text/event-stream", "/v1/log/checkpoint": "text/plain", "/v1/log/key": "text/plain",
				"/tiles/{level}/{n}": "application/octet-stream", "/v1/log/events": "application/x-ndjson"} {
				if strings.HasSuffix(path, suffix) {
					answer = other
				}
			}
			if op.Responses["200"].Content[answer] == nil || op.Responses["default"].Content["application/problem+json"] == nil {
				t.Errorf("%s: responses are not documented: %v", route, op.Responses)
			}
			if types := slices.Collect(maps.Keys(op.RequestBody.Content)); (method == "post" || method == "put") && path != "/v1/replay" {
				if diff := cmp.Diff([]string{"application/json"}, types); diff != "" {
					t.Errorf("%s: %s", route, diff)
				}
			}
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, part := range strings.Split(string(a.body), `"$ref":"#/components/schemas/`)[1:] {
		if name, _, _ := strings.Cut(part, `"`); doc.Components.Schemas[name] == nil {
			t.Errorf("schema %s is referred to and not there", name)
		}
	}
	for _, name := range []string{"ErrorModel", "ErrorDetail"} {
		if doc.Components.Schemas[name] != nil {
			t.Errorf("schema %s is huma's, which is never answered", name)
		}
	}
	golden(t, "testdata/openapi.json", a.body)
}
