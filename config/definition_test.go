package config_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

type values = []events.Value

func TestCheckDefinitionMakesCanonical(t *testing.T) {
	got, err := config.CheckDefinition(events.Definition{
		Kind: events.Size, Default: "1048576", Min: `"1024kib"`, Max: `"1gib"`, Enum: values{"1048576", `"2MiB"`, `"1MiB"`},
		Requires: []events.Key{"b", "a", "b"}, Labels: map[string]string{}, Description: "line\n\tline",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := events.Definition{
		Kind: events.Size, Default: `"1MiB"`, Min: `"1MiB"`, Max: `"1GiB"`, Enum: values{`"1MiB"`, `"2MiB"`},
		Requires: []events.Key{"a", "b"}, Description: "line\n\tline",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if again, err := config.CheckDefinition(got); err != nil || !again.Equal(got) {
		t.Errorf("not canonical: %+v, %v", again, err)
	}
}

func TestCheckDefinitionRefuses(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, tt := range []struct {
		name string
		d    events.Definition
		want string
	}{
		{"no kind", events.Definition{}, `kind is not a kind; the kinds are bool, int, float, string, duration, size, json`},
		{"unknown kind", events.Definition{Kind: "number"}, `kind is not a kind; the kinds are bool, int, float, string, duration, size, json`},
		{"bounds without order", events.Definition{Kind: events.String, Min: `"a"`, Max: `"b"`}, "min makes no sense for kind string, which has no order\nmax makes no sense for kind string, which has no order"},
		{"bound of another kind", events.Definition{Kind: events.Duration, Min: "5"}, `min is not a duration (a string such as "1m30s"; units ns, us, ms, s, m, h)`},
		{"min above max", events.Definition{Kind: events.Duration, Min: `"2h"`, Max: `"90m"`}, "min is above max: 2h is more than 1h30m"},
		{"min above max, float", events.Definition{Kind: events.Float, Min: "0.5", Max: "-0.5"}, "min is above max: 0.5 is more than -0.5"},
		{"pattern for int", events.Definition{Kind: events.Int, Pattern: "a"}, "pattern makes no sense for kind int, only for string"},
		{"schema for string", events.Definition{Kind: events.String, Schema: "true"}, "schema makes no sense for kind string, only for json"},
		{"pattern", events.Definition{Kind: events.String, Pattern: "a("}, "pattern is not a regular expression (RE2): error parsing regexp: missing closing ): `a(`"},
		{"schema", events.Definition{Kind: events.JSON, Schema: `{"type":"text"}`}, `schema is not a JSON Schema: enum at "/type", type (array) at "/type"`},
		{"remote schema", events.Definition{Kind: events.JSON, Schema: `{"$ref":"https://example.com/s.json"}`}, `schema refers to "https://example.com/s.json": remote references are not allowed`},
		{"file schema", events.Definition{Kind: events.JSON, Schema: `{"$ref":"file:///etc/passwd"}`}, `schema refers to "file:///etc/passwd": remote references are not allowed`},
		{"default below min", events.Definition{Kind: events.Int, Default: "1", Min: "2"}, "default is below the minimum 2"},
		{"default not of the kind", events.Definition{Kind: events.Bool, Default: "null"}, "default is not a bool (true or false)"},
		{"default not a choice", events.Definition{Kind: events.String, Default: `"c"`, Enum: values{`"a"`, `"b"`}}, `default is not one of "a", "b"`},
		{"default against schema", events.Definition{Kind: events.JSON, Default: "1", Schema: `{"type":"object"}`}, `default does not satisfy its schema: type (object) at ""`},
		{"choice out of bounds", events.Definition{Kind: events.Int, Max: "3", Enum: values{"1", "4"}}, "enum.1 is above the maximum 3"},
		{"choice of another kind", events.Definition{Kind: events.Int, Enum: values{`"a"`}}, "enum.0 is not an int (a whole number between -9223372036854775808 and 9223372036854775807)"},
		{"requires", events.Definition{Kind: events.Int, Requires: []events.Key{"a", "b c"}}, `requires.1 is not a key "b c": ' ' is not one of A-Z, a-z, 0-9, '_', '-' and '.' at byte 1, after "b"`},
		{"unit", events.Definition{Kind: events.Int, Unit: long}, "unit is 300 bytes, more than 256"},
		{"group", events.Definition{Kind: events.Int, Group: "a\x00"}, "group has a control character at byte 1"},
		{"labels", events.Definition{Kind: events.Int, Labels: map[string]string{"": "x"}}, "labels have one without a name"},
		{"label", events.Definition{Kind: events.Int, Labels: map[string]string{"x": long}}, "labels have one whose text is 300 bytes, more than 256"},
		{"too large", events.Definition{Kind: events.String, Pattern: strings.Repeat("a", events.MaxDefinitionBytes)}, " is 65566 bytes as JSON, more than 65536"},
		{"many flaws", events.Definition{Kind: events.Int, Min: `"a"`, Pattern: "x", Unit: long}, "min is not an int (a whole number between -9223372036854775808 and 9223372036854775807)\npattern makes no sense for kind int, only for string\nunit is 300 bytes, more than 256"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := config.CheckDefinition(tt.d)
			if err == nil {
				t.Fatal("it was taken")
			}
			if diff := cmp.Diff(strings.TrimSpace(tt.want), err.Error()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// defined returns d as it is in a tree.
func defined(t testing.TB, d events.Definition) *config.Definition {
	d, err := config.CheckDefinition(d)
	if err != nil {
		t.Fatal(err)
	}
	tree := config.Tree{}.Evolve(recorded(1, "a", 1, events.KeyDefined{Key: "k", Definition: d}))
	definition, _, _ := tree.Definition("a", "k")
	return definition
}

const routes = `{"type":"object","required":["host"],"additionalProperties":{"type":"integer"},
	"properties":{"host":{"type":"string","format":"hostname"},"big":{"const":9223372036854775807},"list":{"items":{"maximum":3}}}}`

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		d        events.Definition
		in, want events.Value
		err      string
	}{
		{events.Definition{Kind: events.Int, Min: "64"}, "64", "64", ""},
		{events.Definition{Kind: events.Int, Min: "64"}, "63", "", "is below the minimum 64"},
		{events.Definition{Kind: events.Int, Min: "64", Unit: "kB"}, "63", "", "is below the minimum 64 kB"},
		{events.Definition{Kind: events.Int, Max: "16", Unit: "8kB"}, "17", "", "is above the maximum 16 × 8kB"},
		{events.Definition{Kind: events.Duration, Max: `"1m"`, Unit: "s"}, `"61s"`, "", "is above the maximum 1m"},
		{events.Definition{Kind: events.Int, Max: "9223372036854775806"}, "9223372036854775807", "", "is above the maximum 9223372036854775806"},
		{events.Definition{Kind: events.Int}, `"x"`, "", "is not an int (a whole number between -9223372036854775808 and 9223372036854775807)"},
		{events.Definition{Kind: events.Float, Min: "0.1", Max: "0.2"}, "0.15", "0.15", ""},
		{events.Definition{Kind: events.Float, Min: "0.1", Max: "0.2"}, "0.25", "", "is above the maximum 0.2"},
		{events.Definition{Kind: events.Float, Min: "0.1", Max: "0.2"}, "0.05", "", "is below the minimum 0.1"},
		{events.Definition{Kind: events.Duration, Min: `"90s"`}, `"1500ms"`, "", "is below the minimum 1m30s"},
		{events.Definition{Kind: events.Duration}, `"-1s"`, `"-1s"`, ""},
		{events.Definition{Kind: events.Size, Max: `"1GiB"`}, `"1024mib"`, `"1GiB"`, ""},
		{events.Definition{Kind: events.Size, Max: `"1GiB"`}, `"1025mib"`, "", "is above the maximum 1GiB"},
		{events.Definition{Kind: events.Duration, Enum: values{`"60s"`, `"2m"`}}, `"1m"`, `"1m"`, ""},
		{events.Definition{Kind: events.String, Enum: values{`"a"`, `"b"`}}, `"c"`, "", `is not one of "a", "b"`},
		{events.Definition{Kind: events.String, Pattern: "^a+$"}, `"aa"`, `"aa"`, ""},
		{events.Definition{Kind: events.String, Pattern: "^a+$"}, `"secret"`, "", "does not match the pattern ^a+$"},
		{events.Definition{Kind: events.JSON, Schema: routes}, `{"big":9223372036854775807,"host":"x.example"}`, `{"big":9223372036854775807,"host":"x.example"}`, ""},
		{events.Definition{Kind: events.JSON, Schema: routes}, `{"big":9223372036854775806,"host":"x"}`, "", `does not satisfy its schema: const at "/big"`},
		{events.Definition{Kind: events.JSON, Schema: routes}, `{"a/b":"secret"}`, "", `does not satisfy its schema: required (host) at "", type (integer) at "/a~1b"`},
		{events.Definition{Kind: events.JSON, Schema: routes}, `{"host":"-secret-"}`, "", `does not satisfy its schema: format (hostname) at "/host"`},
		{events.Definition{Kind: events.JSON, Schema: routes}, `{"host":"x","list":[4,5,6,7]}`, "", `does not satisfy its schema: maximum at "/list/0", maximum at "/list/1", maximum at "/list/2", and 1 more`},
		{events.Definition{Kind: events.JSON, Schema: routes, Sensitive: true}, `{"token":"secret","host":"x"}`, "", `does not satisfy its schema: type (integer)`},
		{events.Definition{Kind: events.JSON, Schema: "false"}, `1`, "", `does not satisfy its schema: false schema at ""`},
		{events.Definition{Kind: events.JSON, Schema: `{"$schema":"http://json-schema.org/draft-07/schema#","type":"null"}`}, `null`, `null`, ""},
		{events.Definition{Kind: events.JSON, Schema: `{"$ref":"#/$defs/n","$defs":{"n":{"type":"null"}}}`}, `1`, "", `does not satisfy its schema: type (null) at ""`},
	} {
		got, err := defined(t, tt.d).Check(tt.in)
		if tt.err == "" && (err != nil || got != tt.want) {
			t.Errorf("%+v: Check(%s): got %s, %v, want %s", tt.d, tt.in, got, err, tt.want)
		}
		if tt.err != "" && (err == nil || sorted(err.Error()) != sorted(tt.err)) {
			t.Errorf("%+v: Check(%s):\n got %s, %v\nwant %s", tt.d, tt.in, got, err, tt.err)
		}
	}
}

// sorted brings the places in a text about a schema in order: the library walks objects in none.
func sorted(text string) string {
	head, list, ok := strings.Cut(text, "schema: ")
	if !ok {
		return text
	}
	parts := strings.Split(list, ", ")
	for i := range parts {
		for j := i + 1; j < len(parts); j++ {
			if parts[j] < parts[i] {
				parts[i], parts[j] = parts[j], parts[i]
			}
		}
	}
	return head + strings.Join(parts, ", ")
}

func TestManyChoicesStayShort(t *testing.T) {
	d := events.Definition{Kind: events.String}
	for i := range 1000 {
		d.Enum = append(d.Enum, events.Value(fmt.Sprintf(`"choice-%d"`, i)))
	}
	_, err := defined(t, d).Check(`"x"`)
	if err == nil || !strings.HasSuffix(err.Error(), `"choice-19" and 980 more`) {
		t.Errorf("got %v", err)
	}
}

// TestBrokenDefinitionAllowsNothing: a definition that was stored, however it came about, must not let everything pass.
func TestBrokenDefinitionAllowsNothing(t *testing.T) {
	tree := config.Tree{}.Evolve(recorded(1, "a", 1, events.KeyDefined{Key: "k", Definition: events.Definition{Kind: events.String, Pattern: "("}}))
	d, _, _ := tree.Definition("a", "k")
	if v, err := d.Check(`"x"`); err == nil {
		t.Errorf("got %s, want an error", v)
	}
}

func TestCheckIsConcurrent(t *testing.T) {
	d := defined(t, events.Definition{Kind: events.String, Pattern: "^a"})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := d.Check(`"ab"`); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestSchemaThatDoublesEnds: each of these definitions refers to the one before twice, so that the last asks for 2^60
// evaluations.
func TestSchemaThatDoublesEnds(t *testing.T) {
	for name, one := range map[string]string{
		"2020-12":  `{"allOf":[{"$ref":"#/$defs/d%[1]d"},{"$ref":"#/$defs/d%[1]d"}]}`,
		"not":      `{"not":{"anyOf":[{"$ref":"#/$defs/d%[1]d"},{"$ref":"#/$defs/d%[1]d"}]}}`,
		"draft-07": `{"$schema":"http://json-schema.org/draft-07/schema#","oneOf":[{"$ref":"#/$defs/d%[1]d"},{"$ref":"#/$defs/d%[1]d"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			schema := `{"$ref":"#/$defs/d60","$defs":{"d0":{"type":"integer"}`
			if name == "draft-07" {
				schema = strings.Replace(schema, "{", `{"$schema":"http://json-schema.org/draft-07/schema#",`, 1)
			}
			for i := range 60 {
				schema += fmt.Sprintf(`,"d%d":`, i+1) + fmt.Sprintf(one, i)
			}
			v, err := events.ParseValue([]byte(schema + "}}"))
			if err != nil {
				t.Fatal(err)
			}
			_, err = defined(t, events.Definition{Kind: events.JSON, Schema: v}).Check(`"x"`)
			if err == nil || err.Error() != "can not be checked against its schema in 200000 steps; make the schema simpler" {
				t.Errorf("got %v", err)
			}
		})
	}
}
