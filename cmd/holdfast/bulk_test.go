package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/document"
)

// TestApplyHistory replays the history of redis.conf: 95 change sets, and the values are those of the last commit.
func TestApplyHistory(t *testing.T) {
	s := start(t, nil)
	s.ok(t, "create", "redis", "--open")
	for _, before := range []int{0, 95} {
		got := s.ok(t, "apply", "redis", "-f", "../../examples/redis-conf.jsonl")
		want := fmt.Sprintf("redis: 95 change sets applied, %d of them before  revision 96  ", before)
		if !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	data, err := os.ReadFile("testdata/redis-conf.final.json")
	if err != nil {
		t.Fatal(err)
	}
	final, err := document.Read("final.json", data, document.JSON)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(final.Values, values(t, s, "redis")); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

func values(t *testing.T, s *system, ns string) map[events.Key]events.Value {
	t.Helper()
	var list []setting
	if err := json.Unmarshal([]byte(s.ok(t, "list", ns, "-o", "json")), &list); err != nil {
		t.Fatal(err)
	}
	found := map[events.Key]events.Value{}
	for _, v := range list {
		if !v.NoValue {
			found[v.Key] = v.Value
		}
	}
	return found
}

// TestBigImport: a file that needs several change sets, of which the last is refused, and then not.
func TestBigImport(t *testing.T) {
	s := start(t, nil)
	doc := document.Document{Definitions: map[events.Key]events.Definition{}, Values: map[events.Key]events.Value{}}
	for i := range 1200 {
		key := events.Key(fmt.Sprintf("k%04d", i))
		// Each requires the next, so that the order of names is not the one to import them in.
		doc.Definitions[key] = events.Definition{Kind: events.Int, Requires: []events.Key{events.Key(fmt.Sprintf("k%04d", i+1))}}
		doc.Values[key] = events.Value(fmt.Sprint(i))
	}
	doc.Definitions["k1200"] = events.Definition{Kind: events.Int}
	doc.Definitions["z"] = events.Definition{Kind: events.Int, Requires: []events.Key{"none"}}
	file := filepath.Join(t.TempDir(), "big.json")
	save := func() {
		t.Helper()
		out, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		if err := doc.Write(out, document.JSON); err != nil {
			t.Fatal(err)
		}
	}
	save()
	code, stdout, stderr := s.holdfast(t, "import", "big", "-f", file)
	if code != exitRefused || stdout != "" {
		t.Errorf("got exit code %d, %q; want %d and no data", code, stdout, exitRefused)
	}
	for _, want := range []string{"in 3 change sets, each all or nothing, but not all of them together\n",
		"2 of 3 change sets are done, up to revision 2; run the import again", "refused: big/z: big/z requires none"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("got %q, want %q", stderr, want)
		}
	}
	doc.Definitions["z"] = events.Definition{Kind: events.Int}
	save()
	got := s.ok(t, "import", "big", "-f", file)
	if !strings.HasPrefix(got, "big: ") || !strings.Contains(got, " in 1 change set  revision 3  position 2403\n") {
		t.Errorf("got %q, want the rest in revision 3", got)
	}
	if diff := cmp.Diff(doc.Values, values(t, s, "big")); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

// TestBatchBytes: values that together are over the limit of a change set are cut by size.
func TestBatchBytes(t *testing.T) {
	s := start(t, nil)
	values := map[string]string{}
	for i := range 12 {
		values[fmt.Sprintf("k%d", i)] = strings.Repeat("x", 200<<10)
	}
	data, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "wide.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	got := s.ok(t, "import", "wide", "-f", file, "--define")
	if want := "wide: 25 events in 3 change sets  revision 3  position 25\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
