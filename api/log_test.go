package api_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/audit"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
)

// sealing seals the log of c until the test ends, and returns a function that waits until all is sealed.
func sealing(t *testing.T, c *client) (sealed func() audit.Checkpoint) {
	t.Helper()
	text, err := audit.GenerateKey("test")
	if err != nil {
		t.Fatal(err)
	}
	key, err := audit.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		audit.NewSealer(c.log, key, slog.New(slog.DiscardHandler)).Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return func() (newest audit.Checkpoint) {
		t.Helper()
		head := c.head()
		testenv.Eventually(t, "all is sealed", func() bool {
			a := c.do("GET", "/v1/log/checkpoint", "")
			if a.status != http.StatusOK {
				return false
			}
			if newest, err = audit.OpenCheckpoint(string(a.body), key.Verifier()); err != nil {
				t.Fatal(err)
			}
			return newest.N == int64(head)
		})
		return newest
	}
}

// Lines and Tile make a server a source to verify.
func (c *client) Lines(_ context.Context, after events.Position) iter.Seq2[audit.Line, error] {
	a := c.do("GET", fmt.Sprintf("/v1/log/events?after=%d", after), "")
	return audit.ReadLines(bytes.NewReader(a.body), after)
}

func (c *client) Tile(_ context.Context, level int, n int64) ([]byte, error) {
	return c.do("GET", fmt.Sprintf("/v1/log/tiles/%d/%d", level, n), "").body, nil
}

// Everything that an auditor needs comes over HTTP, and fits together.
func TestLog(t *testing.T) {
	c := serve(t, nil)
	for _, path := range []string{"checkpoint", "key", "inclusion?position=1", "consistency?from=1", "tiles/0/0", "events"} {
		c.do("GET", "/v1/log/"+path, "").problem(t, api.ProblemNotSealed)
	}
	sealed := sealing(t, c)
	c.post("a", `{"do":"create","open":true}`)
	for i := range 150 {
		c.post("a", fmt.Sprintf(`{"do":"set","key":"k","value":"<%d>"},{"do":"set","key":"l","value":%[1]d}`, i))
	}
	first := sealed()
	for i := range 60 {
		c.post("a", fmt.Sprintf(`{"do":"set","key":"m","value":%d}`, i))
	}
	second := sealed()

	if got := c.do("GET", "/v1/log/key", ""); string(got.body) != second.Key+"\n" || !strings.HasPrefix(got.header.Get("Content-Type"), "text/plain") {
		t.Errorf("key: got %s %q", got.header.Get("Content-Type"), got.body)
	}
	for _, size := range []audit.Checkpoint{first, second} {
		for _, position := range []int64{1, 2, 256, 257, size.N} {
			in := get[audit.Inclusion](c, fmt.Sprintf("/v1/log/inclusion?position=%d&size=%d", position, size.N))
			if err := tlog.CheckRecord(in.Proof, size.N, size.Hash, position-1, in.Leaf); err != nil {
				t.Errorf("position %d in %d: %v", position, size.N, err)
			}
		}
	}
	proof := get[audit.Consistency](c, fmt.Sprintf("/v1/log/consistency?from=%d", first.N))
	if err := tlog.CheckTree(proof.Proof, int64(proof.To), second.Hash, int64(proof.From), first.Hash); err != nil {
		t.Error(err)
	}
	verified, err := audit.Verify(t.Context(), c, audit.Trust{Since: []audit.Checkpoint{first}}, nil)
	if err != nil || verified.Tree != second.Tree {
		t.Errorf("verified %+v, %v", verified, err)
	}
	for path, want := range map[string]string{
		fmt.Sprintf("inclusion?position=%d", second.N+1):        api.ProblemNotSealed,
		fmt.Sprintf("inclusion?position=7&size=%d", second.N+1): api.ProblemNotSealed,
		"inclusion?position=7&size=6":                           api.ProblemNotSealed,
		fmt.Sprintf("consistency?from=1&to=%d", second.N+1):     api.ProblemNotSealed,
		"tiles/0/2":          api.ProblemNotSealed,
		"inclusion":          api.ProblemBadParameter,
		"tiles/-1/0":         api.ProblemBadParameter,
		"events?after=x":     api.ProblemBadParameter,
		"consistency?from=0": api.ProblemBadParameter,
	} {
		c.do("GET", "/v1/log/"+path, "").problem(t, want)
	}
}

// The lines are those of the rows after a position, up to another, and not beyond what is sealed.
func TestLogEvents(t *testing.T) {
	c := serve(t, nil)
	sealed := sealing(t, c)
	c.post("a", `{"do":"create","open":true},{"do":"set","key":"k","value":"<ü>"},{"do":"set","key":"l","value":2}`)
	n := sealed().N
	for _, test := range []struct {
		query string
		want  []events.Position
	}{
		{"", []events.Position{0, 1, 2, 3}},
		{"?after=1&until=2", []events.Position{0, 2}},
		{"?after=2&until=1000000", []events.Position{0, 3}},
		{fmt.Sprintf("?after=%d", n), []events.Position{0}},
	} {
		a := c.do("GET", "/v1/log/events"+test.query, "")
		if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/x-ndjson" {
			t.Fatalf("%s: got %d %s", test.query, a.status, a.header.Get("Content-Type"))
		}
		var got []events.Position
		for line, err := range audit.ReadLines(bytes.NewReader(a.body), 0) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, line.Position)
			if line.Position == 2 && line.Data != `{"value":"<ü>"}` {
				t.Errorf("got data %s", line.Data)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("%s: got %v, want %v", test.query, got, test.want)
		}
	}
}

// What a definition has ever called sensitive, here or above, is not exported, and the log is verified all the same.
func TestLogMasks(t *testing.T) {
	log := testenv.Log(t)
	c := serveConfig(t, api.Config{Log: log, MayReveal: func(r *http.Request) bool { return r.Header.Get("X-Auditor") != "" }})
	sealed := sealing(t, c)
	c.post("a", `{"do":"create","open":true},{"do":"set","key":"token","value":"s3cret-1"},{"do":"set","key":"plain","value":"shown"}`)
	c.post("a", `{"do":"define","key":"token","definition":{"kind":"string","default":"s3cret-2","sensitive":true}}`)
	c.post("a.b", `{"do":"create","open":true},{"do":"set","key":"token","value":"s3cret-3"}`)
	c.post("a", `{"do":"remove","key":"token"}`)
	sealed()
	text := string(c.do("GET", "/v1/log/events", "").body)
	if strings.Contains(text, "s3cret") || !strings.Contains(text, "shown") || !strings.Contains(text, `"key":"token"`) {
		t.Errorf("got %s", text)
	}
	got, err := audit.Verify(t.Context(), c, audit.Trust{}, nil)
	if err != nil || got.Masked != 4 {
		t.Errorf("got %d masked (%v), want 4", got.Masked, err)
	}
	c.do("GET", "/v1/log/events?reveal=true", "").problem(t, api.ProblemMayNotReveal)
	text = string(c.do("GET", "/v1/log/events?reveal=true", "", "X-Auditor", "ann").body)
	for _, secret := range []string{"s3cret-1", "s3cret-2", "s3cret-3"} {
		if !strings.Contains(text, secret) {
			t.Errorf("revealed, but for %s: %s", secret, text)
		}
	}
}
