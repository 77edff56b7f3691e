package events_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-config/holdfast/events"
)

var update = flag.Bool("update", false, "write the golden files anew: only for a new type, never for one that was released")

// stored has an event of every type, once with everything and, where that differs, once with as little as may be.
var stored = map[string]events.Event{
	"namespace.created.v1":      events.NamespaceCreated{},
	"namespace.created.v1.full": events.NamespaceCreated{Open: true, Description: "Payments <prod>\n& \"eu\"", Labels: map[string]string{"team": "pay", "a": ""}},
	"namespace.tagged.v1":       events.NamespaceTagged{Tag: "before-sale", Revision: 41},
	"namespace.tagged.v1.own":   events.NamespaceTagged{Tag: "before-sale"},
	"namespace.untagged.v1":     events.NamespaceUntagged{Tag: "before-sale"},
	"namespace.restored.v1":     events.NamespaceRestored{Namespace: "payments.prod", Revision: 41, Position: 345},
	"epoch.began.v1":            events.EpochBegan{Epoch: "0198b8a4-7c1e-4d52-9d3f-2f1f0c9f6a10", Previous: "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"},
	"key.defined.v1":            events.KeyDefined{Key: "db.max_conns", Definition: events.Definition{Kind: events.Int}},
	"key.defined.v1.int":        events.KeyDefined{Key: "db.max_conns", Definition: fullInt},
	"key.defined.v1.string":     events.KeyDefined{Key: "tls.mode", Definition: fullString},
	"key.defined.v1.json":       events.KeyDefined{Key: "routes", Definition: fullJSON},
	"key.removed.v1":            events.KeyRemoved{Key: "db.max_conns"},
	"value.set.v1.int":          events.ValueSet{Key: "db.max_conns", Value: "9223372036854775807"},
	"value.set.v1.null":         events.ValueSet{Key: "routes", Value: "null"},
	"value.set.v1.string":       events.ValueSet{Key: "greeting", Value: "\"<b>Grüße</b> & \\u2028 \\\"\\n\""},
	"value.set.v1.object":       events.ValueSet{Key: "routes", Value: `{"a":[1,2.5,1e+300,null],"b":{"c":true}}`},
	"value.unset.v1":            events.ValueUnset{Key: "db.max_conns"},
}

var (
	fullInt = events.Definition{
		Kind: events.Int, Default: "20", Min: "1", Max: "1000", Enum: []events.Value{"20", "40"}, Unit: "connections",
		Description: "Most connections <at once>", Group: "Database", Requires: []events.Key{"db.host", "db.port"},
		Sensitive: true, Labels: map[string]string{"owner": "dba"},
	}
	fullString = events.Definition{Kind: events.String, Default: `"off"`, Pattern: "^[a-z<&>]+$"}
	fullJSON   = events.Definition{Kind: events.JSON, Default: "null", Schema: `{"minimum":9223372036854775807,"type":"integer"}`}
)

// TestStoredForm pins the bytes of every type for ever: rows written today are read by every later version.
func TestStoredForm(t *testing.T) {
	for name, ev := range stored {
		t.Run(name, func(t *testing.T) {
			s, err := events.Encode(ev)
			if err != nil {
				t.Fatal(err)
			}
			got := s.Type + "\n" + string(s.Key) + "\n" + string(s.Data) + "\n"
			file := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("stored form (-want +got):\n%s", diff)
			}
			lines := strings.SplitN(string(want), "\n", 3)
			back, err := events.Decode(events.Stored{Type: lines[0], Key: events.Key(lines[1]), Data: []byte(strings.TrimSuffix(lines[2], "\n"))})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(ev, back); diff != "" {
				t.Errorf("decoded (-want +got):\n%s", diff)
			}
		})
	}
}

// TestEveryTypeHasGoldenFiles fails when a type is added without pinning its form, or a file is left behind.
func TestEveryTypeHasGoldenFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.golden")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(stored) {
		t.Errorf("testdata has %d golden files, the table %d events", len(files), len(stored))
	}
	for _, typ := range events.Types {
		found := false
		for _, ev := range stored {
			found = found || ev.Type() == typ
		}
		if !found {
			t.Errorf("no golden file for %s", typ)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	var unknown *events.UnknownTypeError
	if _, err := events.Decode(events.Stored{Type: "value.set.v2", Key: "a", Data: []byte(`{}`)}); !errors.As(err, &unknown) || unknown.Type != "value.set.v2" {
		t.Errorf("unknown type: got %v", err)
	}
	for _, s := range []events.Stored{
		{Type: events.TypeValueSet, Key: "a", Data: nil},
		{Type: events.TypeValueSet, Key: "a", Data: []byte(`{"value":1`)},
		{Type: events.TypeValueSet, Key: "a", Data: []byte(`{"value":}`)},
		{Type: events.TypeValueSet, Key: "a", Data: []byte(`{"value":1,"value":}`)},
		{Type: events.TypeValueSet, Key: "a", Data: []byte(`{}`)},
		{Type: events.TypeKeyDefined, Key: "a", Data: []byte(`[]`)},
		{Type: events.TypeKeyDefined, Key: "a", Data: []byte(`{}`)},
		{Type: events.TypeNamespaceCreated, Data: []byte(`"x"`)},
		{Type: events.TypeNamespaceTagged, Data: []byte(`{"revision":1}`)},
		{Type: events.TypeNamespaceUntagged, Data: []byte(`{}`)},
		{Type: events.TypeNamespaceRestored, Data: []byte(`{"namespace":"a","revision":1}`)},
		{Type: events.TypeNamespaceRestored, Data: []byte(`{"namespace":"a","position":1}`)},
		{Type: events.TypeNamespaceRestored, Data: []byte(`{"revision":1,"position":1}`)},
		{Type: events.TypeEpochBegan, Data: []byte(`{"epoch":"e"}`)},
		{Type: events.TypeEpochBegan, Data: []byte(`{"previous":"e"}`)},
	} {
		if ev, err := events.Decode(s); err == nil {
			t.Errorf("decode %s %s: got %v, want an error", s.Type, s.Data, ev)
		}
	}
}

func TestEncodeRefusesNoValue(t *testing.T) {
	if s, err := events.Encode(events.ValueSet{Key: "a"}); err == nil {
		t.Errorf("got %s, want an error", s.Data)
	}
}

func BenchmarkDecodeValueSet(b *testing.B) {
	s, err := events.Encode(events.ValueSet{Key: "db.max_conns", Value: "512"})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := events.Decode(s); err != nil {
			b.Fatal(err)
		}
	}
}
