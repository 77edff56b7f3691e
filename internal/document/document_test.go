package document

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

// TestRoundTrip writes documents of every kind of value and definition and reads the same back, from both forms.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyDocument(t)
		for _, format := range []Format{YAML, JSON} {
			var b bytes.Buffer
			if err := want.Write(&b, format); err != nil {
				t.Fatal(err)
			}
			got, err := Read("x."+string(format), b.Bytes(), Auto)
			if err != nil {
				t.Fatalf("%s: %v\n%s", format, err, b.Bytes())
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s (-want +got):\n%s\n%s", format, diff, b.Bytes())
			}
		}
	})
}

func anyDocument(t *rapid.T) *Document {
	key := rapid.Custom(func(t *rapid.T) events.Key {
		return events.Key(rapid.StringMatching(`[A-Za-z0-9_-]{1,5}(\.[A-Za-z0-9_-]{1,5}){0,2}`).Draw(t, "key"))
	})
	labels := rapid.MapOfN(rapid.String(), rapid.String(), 0, 2)
	doc := &Document{
		Namespace:   events.Namespace(rapid.StringMatching(`([a-z0-9]{1,5}(\.[a-z0-9]{1,4})?)?`).Draw(t, "namespace")),
		Open:        rapid.Bool().Draw(t, "open"),
		Description: anyText().Draw(t, "description"),
		Definitions: map[events.Key]events.Definition{},
		Values:      rapid.MapOfN(key, anyValue(), 0, 4).Draw(t, "values"),
	}
	if l := labels.Draw(t, "labels"); len(l) > 0 {
		doc.Labels = l
	}
	for k, d := range rapid.MapOfN(key, anyDefinition(), 0, 3).Draw(t, "definitions") {
		doc.Definitions[k] = d
		delete(doc.Values, k) // one that its definition allows is another draw
		if d.Default != "" {
			doc.Values[k] = d.Default
		}
	}
	return doc
}

// anyText has what YAML might take for something else, or not keep.
func anyText() *rapid.Generator[string] {
	return rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "no", "on", "y", "~", "null", "0777", "1_000", "1e3", ".5",
		"2001-12-14", "<<", "=", "- a", "a: b", "a #b", " a", "a ", "a\n", "\na", "a\n\n", "a\nb", "a\n b\n", "a\tb", "a\r\nb", "'", "\"", "\\",
		"\u2028", "\ufeff", "\u0085", "\x00", "😀", "!!str", "&a", "*a", "{", "[a, b]", "a, b", "|", ">", "%x", "@x", "`"}))
}

func anyValue() *rapid.Generator[events.Value] {
	return rapid.Custom(func(t *rapid.T) events.Value {
		v, err := events.ParseValue([]byte(anyJSON(t, 3)))
		if err != nil {
			t.Fatal(err)
		}
		return v
	})
}

func anyJSON(t *rapid.T, depth int) string {
	choice := rapid.IntRange(0, 6).Draw(t, "choice")
	if depth == 0 {
		choice %= 5
	}
	text := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	switch choice {
	case 0:
		return text(rapid.Int64().Draw(t, "int"))
	case 1:
		return text(rapid.Float64().Draw(t, "float"))
	case 2:
		return rapid.SampledFrom([]string{"null", "true", "false", "123456789012345678901234567890", "1e300"}).Draw(t, "word")
	case 3, 4:
		return text(anyText().Draw(t, "string"))
	case 5:
		var list []string
		for range rapid.IntRange(0, 3).Draw(t, "length") {
			list = append(list, anyJSON(t, depth-1))
		}
		return "[" + strings.Join(list, ",") + "]"
	}
	members := map[string]json.RawMessage{}
	for range rapid.IntRange(0, 3).Draw(t, "members") {
		members[anyText().Draw(t, "name")] = json.RawMessage(anyJSON(t, depth-1))
	}
	return text(members)
}

func anyDefinition() *rapid.Generator[events.Definition] {
	return rapid.Custom(func(t *rapid.T) events.Definition {
		d := rapid.SampledFrom([]events.Definition{
			{Kind: events.Bool, Default: "true"},
			{Kind: events.Int, Default: "9223372036854775807", Min: "-9223372036854775808"},
			{Kind: events.Float, Min: "0.25", Max: "1e300", Default: "0.5"},
			{Kind: events.String, Enum: []events.Value{`"on"`, `"off"`, `""`}, Default: `"on"`},
			{Kind: events.String, Pattern: `^[a-z]+: #$`, Requires: []events.Key{"a", "on"}},
			{Kind: events.Duration, Default: `"1m30s"`, Max: `"1h"`},
			{Kind: events.Size, Default: `"64MiB"`},
			{Kind: events.JSON, Schema: `{"type":"object"}`, Default: `{"a":[1]}`},
		}).Draw(t, "definition")
		d.Description = anyText().Draw(t, "description")
		d.Unit = rapid.SampledFrom([]string{"", "8kB", "no"}).Draw(t, "unit")
		d.Sensitive = rapid.Bool().Draw(t, "sensitive")
		checked, err := config.CheckDefinition(d)
		if err != nil {
			t.Skip(err) // a description that is no text at all
		}
		return checked
	})
}

// TestReadPlain reads the same settings from each plain format.
func TestReadPlain(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       map[events.Key]events.Value
	}{
		{"a.yaml", "db:\n  host: db1\n  port: 5432\n  tags: [a, b]\n  empty: {}\nbig: 9223372036854775807\nhex: 0x1F\nday: 2024-01-02\noff: off\n", map[events.Key]events.Value{
			"db.host": `"db1"`, "db.port": "5432", "db.tags": `["a","b"]`, "db.empty": "{}", "big": "9223372036854775807", "hex": "31", "day": `"2024-01-02"`, "off": `"off"`}},
		{"merge.yml", "base: &base {a: 1, b: 2}\nnext:\n  <<: *base\n  b: 3\ncopy: *base\n", map[events.Key]events.Value{
			"base.a": "1", "base.b": "2", "next.a": "1", "next.b": "3", "copy.a": "1", "copy.b": "2"}},
		{"a.json", `{"db": {"host": "db1", "port": 5432}, "x": null, "s": "\ud83d\ude00"}`, map[events.Key]events.Value{
			"db.host": `"db1"`, "db.port": "5432", "x": "null", "s": `"😀"`}},
		{".env.local", "# comment\n\nexport A=1\nB = two words # comment\nC='it''\nD=\"x\\n\\\"y\\\" $HOME\"\nE=\nF=\"a\nb\" # c\nG=a#b\n", nil},
		{".env", "export A=1\r\nB = two words # comment\r\nC='it $x \\n'\r\nD=\"x\\n\\\"y\\\" $HOME\"\nE=\nF=\"a\nb\" # c\nG=a#b", map[events.Key]events.Value{
			"A": `"1"`, "B": `"two words"`, "C": `"it $x \\n"`, "D": `"x\n\"y\" $HOME"`, "E": `""`, "F": `"a\nb"`, "G": `"a#b"`}},
		{"a.properties", "# c\ndb.host = db1\ndb.port:5432\nlong=a \\\n  b\nraw=${x}\n", map[events.Key]events.Value{
			"db.host": `"db1"`, "db.port": `"5432"`, "long": `"a b"`, "raw": `"${x}"`}},
		{"dos.properties", "\ufeffa=1 \\\r\n  2\r\n! b \\\r\nc=\\\\\r\nd\r\n", map[events.Key]events.Value{
			"a": `"1 2"`, "c": `"\\"`, "d": `""`}},
		{"-", "a: 1", map[events.Key]events.Value{"a": "1"}},
		{"-", ` {"a": 1}`, map[events.Key]events.Value{"a": "1"}},
	} {
		doc, err := Read(tt.name, []byte(tt.text), Auto)
		if tt.want == nil {
			if err == nil {
				t.Errorf("%s: got %v, want an error", tt.name, doc.Values)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if diff := cmp.Diff(tt.want, doc.Values); diff != "" || !doc.Plain {
			t.Errorf("%s: plain %v (-want +got):\n%s", tt.name, doc.Plain, diff)
		}
	}
}

// TestErrors pins what is said of bad files: testdata/errors holds a file of each kind and what Read answers.
func TestErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/errors/*")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range files {
		if strings.HasSuffix(file, ".want") {
			continue
		}
		seen++
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := Read(file, data, Auto)
		if err == nil {
			t.Errorf("%s: got %+v, want an error", file, doc)
			continue
		}
		got := err.Error() + "\n"
		if strings.Contains(got, "s3cret") {
			t.Errorf("%s: the error repeats a value: %s", file, got)
		}
		if *update {
			if err := os.WriteFile(file+".want", []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file + ".want")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
	if seen < 10 {
		t.Errorf("found %d bad files, want at least 10", seen)
	}
}

func TestUnknownFormat(t *testing.T) {
	for name, format := range map[string]Format{"settings.toml": Auto, "a.yaml": "toml"} {
		if doc, err := Read(name, []byte("a: 1"), format); err == nil {
			t.Errorf("%s as %s: got %v, want an error", name, format, doc)
		}
	}
}

func TestTextValue(t *testing.T) {
	for _, tt := range []struct {
		kind events.Kind
		text string
		want events.Value // empty: an error
	}{
		{events.String, "8192", `"8192"`},
		{events.String, `"x"`, `"\"x\""`},
		{events.Int, "8192", "8192"},
		{events.Int, "many", `"many"`},
		{events.Float, "1.10", "1.1"},
		{events.Bool, "true", "true"},
		{events.Duration, "1m30s", `"1m30s"`},
		{events.Size, "64MiB", `"64MiB"`},
		{events.Size, "1024", "1024"},
		{events.JSON, `{"b": 1, "a": 2}`, `{"a":2,"b":1}`},
		{events.JSON, `{"b": `, ""},
		{"", "true", "true"},
		{"", "5", "5"},
		{"", "1.10", `"1.10"`},
		{"", "007", `"007"`},
		{"", "[1, 2]", "[1,2]"},
		{"", "plain text", `"plain text"`},
		{"", "", `""`},
		{"", "\xff", ""},
	} {
		got, err := TextValue(tt.kind, tt.text)
		if got != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("TextValue(%q, %q) = %s, %v; want %s", tt.kind, tt.text, got, err, tt.want)
		}
	}
}

func TestInterpretAndDefine(t *testing.T) {
	doc, err := Read(".env", []byte("PORT=80\nNAME=80\nON=true\nRATE=0.5\nWHO=me\nLIST=[1]\n"), Auto)
	if err != nil {
		t.Fatal(err)
	}
	known := events.Key("NAME")
	err = doc.Interpret(func(key events.Key) events.Kind {
		if key == known {
			return events.String
		}
		return ""
	})
	if err != nil {
		t.Fatal(err)
	}
	doc.Define(func(key events.Key) bool { return key == known })
	wantValues := map[events.Key]events.Value{"PORT": "80", "NAME": `"80"`, "ON": "true", "RATE": "0.5", "WHO": `"me"`, "LIST": "[1]"}
	if diff := cmp.Diff(wantValues, doc.Values); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	wantDefinitions := map[events.Key]events.Definition{"PORT": {Kind: events.Int}, "ON": {Kind: events.Bool}, "RATE": {Kind: events.Float},
		"WHO": {Kind: events.String}, "LIST": {Kind: events.JSON}}
	if diff := cmp.Diff(wantDefinitions, doc.Definitions); diff != "" {
		t.Errorf("definitions (-want +got):\n%s", diff)
	}
}

// FuzzRead: no file makes a reader panic or go on for ever, and what is read as our own is written and read the same.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{"holdfast: 1\nvalues: {a: 1}\n", "holdfast: 1\ndefinitions: {a: {kind: int, default: 5}}\n", "a: &a [*a]\n",
		"a: &a {b: *a}\n", "<<: &a {<<: *a}\n", "x: !!binary aGk=\n", `{"a": {"b": "\ud800"}}`, "a: 0755\nb: .inf\nc: 1_000\n", "A=\"b\\", "a=b\\\n c\n", "\x00", "? [a]\n: b\n",
		"a: &a [1,1]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: [*c,*c]\n"} {
		for _, format := range Formats[1:] {
			f.Add([]byte(seed), string(format))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, format string) {
		doc, err := Read("-", data, Format(format))
		if err != nil || doc.Plain {
			return
		}
		var b bytes.Buffer
		if err := doc.Write(&b, YAML); err != nil {
			t.Fatal(err)
		}
		again, err := Read("-", b.Bytes(), Holdfast)
		if err != nil {
			t.Fatalf("%v\n%s", err, b.Bytes())
		}
		if diff := cmp.Diff(doc, again); diff != "" {
			t.Fatalf("(-first +again):\n%s", diff)
		}
	})
}
