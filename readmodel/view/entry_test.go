package view

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/holdfast-config/holdfast/events"
)

var update = flag.Bool("update", false, "write the golden files anew: only for a new form under a new prefix")

// golden compares got with a file that pins a form for ever.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSuffix(string(want), "\n"), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

var samples = map[string]Entry{
	"int":       {Value: "9223372036854775807", Kind: events.Int, Revision: 12, Position: 345, From: "payments"},
	"negative":  {Value: "-5", Kind: events.Int, Revision: 1, Position: 2, From: "a"},
	"string":    {Value: `"<b>&\"quoted\"\\ é \u2028"`, Kind: events.String, Revision: 1, Position: 2, From: "payments.prod-eu"},
	"json":      {Value: `{"a":[1,2.5,null],"kind":"int"}`, Kind: events.JSON, Revision: 3, Position: 4, From: "default"},
	"null":      {Value: "null", Kind: events.JSON, Revision: 3, Position: 4, From: "default"},
	"sensitive": {Value: `"s3cret"`, Kind: events.String, Revision: 3, Position: 4, From: "payments", Sensitive: true},
	"lookalike": {Value: `"x\",\"kind\":\"int\",\"from\":\"y"`, Kind: events.String, Revision: 3, Position: 4, From: "payments"},
}

func TestEntryGolden(t *testing.T) {
	for name, e := range samples {
		t.Run(name, func(t *testing.T) {
			golden(t, "entry."+name+".json", EncodeEntry(e))
			got, err := DecodeEntry(EncodeEntry(e))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(e, got); diff != "" {
				t.Errorf("decoded (-want +got):\n%s", diff)
			}
			if _, fast := cutEntry(string(EncodeEntry(e))); !fast {
				t.Error("our own form is not decoded the fast way")
			}
		})
	}
}

// The bytes of the hand-written encoder are those of encoding/json, and both decoders read them alike.
func TestEntryIsPlainJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := Entry{
			Value:     anyValue(t),
			Kind:      rapid.SampledFrom(append(events.Kinds[:len(events.Kinds):len(events.Kinds)], "new\"kind")).Draw(t, "kind"),
			Revision:  events.Revision(rapid.Int64Min(0).Draw(t, "revision")),
			Position:  events.Position(rapid.Int64Min(0).Draw(t, "position")),
			From:      rapid.OneOf(rapid.Just("default"), rapid.StringMatching(`[a-z]+(\.[a-z]+)?`), rapid.String()).Draw(t, "from"),
			Sensitive: rapid.Bool().Draw(t, "sensitive"),
		}
		text := EncodeEntry(e)
		var slow Entry
		if err := json.Unmarshal(text, &slow); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		got, err := DecodeEntry(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if diff := cmp.Diff(slow, got); diff != "" {
			t.Fatalf("decoders differ on %s (-json +ours):\n%s", text, diff)
		}
		if got.Value != e.Value || got.Kind != e.Kind || got.Sensitive != e.Sensitive || got.Position != e.Position {
			t.Fatalf("got %+v, want %+v", got, e)
		}
	})
}

func anyValue(t *rapid.T) events.Value {
	text, err := json.Marshal(rapid.OneOf(
		rapid.Map(rapid.Int64(), func(n int64) any { return n }),
		rapid.Map(rapid.Float64(), func(f float64) any { return f }),
		rapid.Map(rapid.String(), func(s string) any { return s }),
		rapid.Map(rapid.SliceOfN(rapid.String(), 0, 3), func(s []string) any { return s }),
		rapid.Map(rapid.MapOfN(rapid.String(), rapid.Bool(), 0, 3), func(m map[string]bool) any { return m }),
		rapid.SampledFrom([]any{true, false, nil, `,"kind":"int","revision":1,"position":2,"from":"x"}`}),
	).Draw(t, "value"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := events.ParseValue(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestDecodeEntryOfOthers(t *testing.T) {
	want := Entry{Value: `{"a":1}`, Kind: events.JSON, Revision: 1, Position: 2, From: "p"}
	for name, text := range map[string]string{
		"other order":     `{"from":"p","position":2,"revision":1,"kind":"json","value":{"a":1}}`,
		"white space":     `{ "value": {"a" :1}, "kind": "json", "revision": 1, "position": 2, "from": "p" }`,
		"unknown member":  `{"value":{"a":1},"kind":"json","revision":1,"position":2,"from":"p","new":[1]}`,
		"space in value":  `{"value": {"a":1},"kind":"json","revision":1,"position":2,"from":"p"}`,
		"explicit masked": `{"value":{"a":1},"kind":"json","revision":1,"position":2,"from":"p","sensitive":false}`,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeEntry([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeEntryRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"empty":            ``,
		"no JSON":          `hunter2`,
		"no value":         `{"kind":"int","revision":1,"position":2,"from":"p"}`,
		"broken value":     `{"value":{"hunter2"},"kind":"json","revision":1,"position":2,"from":"p"}`,
		"two values":       `{"value":1,hunter2,"kind":"json","revision":1,"position":2,"from":"p"}`,
		"leading zero":     `{"value":007,"kind":"int","revision":1,"position":2,"from":"p"}`,
		"number as text":   `{"value":1,"kind":"int","revision":"hunter2","position":2,"from":"p"}`,
		"revision is huge": `{"value":1,"kind":"int","revision":99999999999999999999,"position":2,"from":"p"}`,
		"cut off":          `{"value":1,"kind":"int","revision":1,"position":2,"from":"p`,
		"goes on":          `{"value":1,"kind":"int","revision":1,"position":2,"from":"p"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			e, err := DecodeEntry([]byte(text))
			if err == nil {
				t.Fatalf("decoded to %+v", e)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "'h'") {
				t.Errorf("the error repeats what may be a value: %v", err)
			}
		})
	}
}

func BenchmarkDecodeEntry(b *testing.B) {
	text := EncodeEntry(samples["int"])
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeEntry(text); err != nil {
			b.Fatal(err)
		}
	}
}
