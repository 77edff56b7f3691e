package document

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

var update = flag.Bool("update", false, "write golden files and examples anew")

const postgresExample = "../../examples/postgres-settings.yaml"

// pgSetting is a row of Postgres' view pg_settings.
type pgSetting struct {
	Name     string   `json:"name"`
	Unit     string   `json:"unit"`
	Category string   `json:"category"`
	Short    string   `json:"short_desc"`
	Type     string   `json:"vartype"`
	Min      string   `json:"min_val"`
	Max      string   `json:"max_val"`
	Enum     []string `json:"enumvals"`
	Default  *string  `json:"boot_val"`
	Context  string   `json:"context"`
}

// pgKinds are the kinds for the types of pg_settings. A unit stays a unit: "8kB" counts pages, which no kind does.
var pgKinds = map[string]events.Kind{
	"bool": events.Bool, "integer": events.Int, "real": events.Float, "string": events.String, "enum": events.String,
}

// definition makes a typed definition of a row.
func (s pgSetting) definition(t *testing.T) events.Definition {
	value := func(text string) events.Value {
		if s.Type == "bool" {
			text = map[string]string{"on": "true", "off": "false"}[text]
		}
		v, err := TextValue(pgKinds[s.Type], text)
		if err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		return v
	}
	d := events.Definition{Kind: pgKinds[s.Type], Unit: s.Unit, Group: s.Category, Description: s.Short,
		Labels: map[string]string{"context": s.Context}}
	if s.Default != nil {
		d.Default = value(*s.Default)
	}
	if s.Min != "" {
		d.Min, d.Max = value(s.Min), value(s.Max)
	}
	for _, choice := range s.Enum {
		d.Enum = append(d.Enum, value(choice))
	}
	d.Sensitive = s.Name == "primary_conninfo" // may hold a password
	checked, err := config.CheckDefinition(d)
	if err != nil {
		t.Errorf("%s: %v", s.Name, err)
	}
	return checked
}

// TestPostgresExample keeps the example what the real settings of a Postgres 15 make of it; -update writes it.
func TestPostgresExample(t *testing.T) {
	data, err := os.ReadFile("testdata/pg_settings.json")
	if err != nil {
		t.Fatal(err)
	}
	var settings []pgSetting
	if err := json.Unmarshal(data, &settings); err != nil {
		t.Fatal(err)
	}
	want := &Document{Description: "Settings of PostgreSQL 15, as its view pg_settings describes them",
		Definitions: map[events.Key]events.Definition{}, Values: map[events.Key]events.Value{}}
	for _, s := range settings {
		key, err := events.ParseKey(s.Name)
		if err != nil {
			t.Fatal(err)
		}
		want.Definitions[key] = s.definition(t)
	}
	if len(want.Definitions) != 329 {
		t.Errorf("got %d settings, want 329", len(want.Definitions))
	}
	if *update {
		var b bytes.Buffer
		if err := want.Write(&b, YAML); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(postgresExample, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(postgresExample)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Read(postgresExample, written, Auto)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the example is not what the settings make of it; go test -run %s -update (-want +got):\n%s", t.Name(), diff)
	}
}
