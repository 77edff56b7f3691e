package commands_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/holdfast-config/holdfast/commands"
	"github.com/holdfast-config/holdfast/events"
)

func TestParse(t *testing.T) {
	got, err := commands.Parse("pay", "ann", []byte(`{
		"reason": "bigger \u0073orts",
		"expect": {"revision": 41},
		"commands": [
			{"do": "create", "open": true, "description": "d", "labels": {"team": "pay"}},
			{"do": "define", "key": "a.b", "expect": {"revision": 0}, "definition": {
				"kind": "int", "default": 1.0, "min": 0, "max": 9223372036854775807, "enum": [1, 2], "unit": "kB", "description": "d",
				"group": "g", "requires": ["c"], "sensitive": true, "labels": {"x": "y"}}},
			{"do": "define", "key": "s", "definition": {"kind": "string", "pattern": "^a"}},
			{"do": "define", "key": "j", "definition": {"kind": "json", "schema": {"type": "object"}, "default": null}},
			{"do": "set", "key": "a.b", "value": {"b": 1, "a": "}]\"{["}, "expect": {"revision": 12, "position": 9}},
			{"do": "unset", "key": "c"},
			{"key": "c", "do": "remove"},
			{"do": "tag", "tag": "before-sale", "revision": 41},
			{"do": "tag", "tag": "v1.2"},
			{"do": "untag", "tag": "v1.1"}
		]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := commands.ChangeSet{
		Namespace: "pay", Actor: "ann", Reason: "bigger sorts", Expect: commands.Expect{Revision: new(events.Revision(41))},
		Commands: []commands.Command{
			commands.Create{Open: true, Description: "d", Labels: map[string]string{"team": "pay"}},
			commands.Define{Key: "a.b", Expect: commands.Expect{Revision: new(events.Revision(0))}, Definition: events.Definition{
				Kind: events.Int, Default: "1", Min: "0", Max: "9223372036854775807", Enum: []events.Value{"1", "2"}, Unit: "kB", Description: "d",
				Group: "g", Requires: []events.Key{"c"}, Sensitive: true, Labels: map[string]string{"x": "y"},
			}},
			commands.Define{Key: "s", Definition: events.Definition{Kind: events.String, Pattern: "^a"}},
			commands.Define{Key: "j", Definition: events.Definition{Kind: events.JSON, Schema: `{"type":"object"}`, Default: "null"}},
			commands.Set{Key: "a.b", Value: `{"a":"}]\"{[","b":1}`, Expect: commands.Expect{Revision: new(events.Revision(12)), Position: new(events.Position(9))}},
			commands.Unset{Key: "c"},
			commands.Remove{Key: "c"},
			commands.Tag{Tag: "before-sale", Revision: 41},
			commands.Tag{Tag: "v1.2"},
			commands.Untag{Tag: "v1.1"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseRefuses(t *testing.T) {
	const secret = "hunter2"
	commandsOf := func(cmd string) string { return `{"commands":[` + cmd + `]}` }
	for _, tt := range []struct {
		name, body, want string
		pointer          string
		err              error
	}{
		{"empty", "", `pay: body is empty`, "", commands.ErrMalformed},
		{"not JSON", `{"commands":[x]}`, `pay: body is not JSON at byte 14`, "", commands.ErrMalformed},
		{"cut off", `{"commands":[`, `pay: body is not JSON: it ends too early`, "", commands.ErrMalformed},
		{"more than JSON", `{} {}`, `pay: body is not JSON at byte 4`, "", commands.ErrMalformed},
		{"not UTF-8", "{\"reason\":\"\xff\"}", `pay: body is not valid UTF-8`, "", commands.ErrMalformed},
		{"an array", `[]`, `pay: body is not an object`, "", commands.ErrMalformed},
		{"too large", `{"reason":"` + strings.Repeat("x", events.MaxChangeSetBytes) + `"}`, `pay: change set is 1048589 bytes, more than 1048576`, "", commands.ErrLimit},
		{"no commands", `{}`, `pay: commands is missing`, "/commands", commands.ErrMalformed},
		{"zero commands", `{"commands":[]}`, `pay: commands are none; post at least one`, "/commands", commands.ErrMalformed},
		{"commands not an array", `{"commands":{}}`, `pay: commands is not an array`, "/commands", commands.ErrMalformed},
		{"too many commands", commandsOf(strings.Repeat(`{"do":"unset","key":"a"},`, 1000) + `{"do":"unset","key":"a"}`), `pay: commands are 1001, more than 1000`, "/commands", commands.ErrLimit},
		{"unknown member", `{"comands":[],"commands":[{"do":"unset","key":"a"}]}`, `pay: has an unknown member "comands"; allowed are commands, expect, reason`, "", commands.ErrMalformed},
		{"member in another case", `{"Reason":"","commands":[{"do":"unset","key":"a"}]}`, `pay: has an unknown member "Reason"; allowed are commands, expect, reason`, "", commands.ErrMalformed},
		{"member twice", `{"reason":"a","reason":"b","commands":[{"do":"unset","key":"a"}]}`, `pay: body has the member "reason" twice`, "", commands.ErrMalformed},
		{"reason not text", `{"reason":5,"commands":[{"do":"unset","key":"a"}]}`, `pay: reason is not a string`, "/reason", commands.ErrMalformed},
		{"reason too long", `{"reason":"` + strings.Repeat("x", 5000) + `","commands":[{"do":"unset","key":"a"}]}`, `pay: reason is 5000 bytes, more than 4096`, "/reason", commands.ErrLimit},
		{"reason with NUL", `{"reason":"a\u0000","commands":[{"do":"unset","key":"a"}]}`, `pay: reason has a control character at byte 1`, "/reason", commands.ErrMalformed},
		{"reason with half a character", `{"reason":"\ud800","commands":[{"do":"unset","key":"a"}]}`, `pay: reason has an unpaired surrogate escape at byte 1`, "/reason", commands.ErrMalformed},
		{"expect nonsense", `{"expect":{"revision":-1},"commands":[{"do":"unset","key":"a"}]}`, `pay: expect.revision is not a whole number, 0 or more`, "/expect/revision", commands.ErrMalformed},
		{"expect text", `{"expect":"1","commands":[{"do":"unset","key":"a"}]}`, `pay: expect is not an object`, "/expect", commands.ErrMalformed},
		{"expect a position of the namespace", `{"expect":{"position":1},"commands":[{"do":"unset","key":"a"}]}`, `pay: expect has an unknown member "position"; allowed are revision`, "/expect", commands.ErrMalformed},

		{"command not an object", commandsOf(`5`), `pay: command is not an object`, "/commands/0", commands.ErrMalformed},
		{"no do", commandsOf(`{"key":"a"}`), `pay: do is missing; it is one of create, define, remove, set, tag, unset, untag`, "/commands/0/do", commands.ErrMalformed},
		{"unknown do", commandsOf(`{"do":"delete","key":"a"}`), `pay: do "delete" is not a command; it is one of create, define, remove, set, tag, unset, untag`, "/commands/0/do", commands.ErrMalformed},
		{"do not text", commandsOf(`{"do":1}`), `pay: do is not a string`, "/commands/0/do", commands.ErrMalformed},
		{"unknown member of a command", commandsOf(`{"do":"set","key":"a","vlaue":"` + secret + `","value":1}`), `set pay/a: has an unknown member "vlaue"; allowed are do, expect, key, value`, "/commands/0", commands.ErrMalformed},
		{"no key", commandsOf(`{"do":"set","value":1}`), `set pay: key is missing`, "/commands/0/key", commands.ErrMalformed},
		{"bad key", commandsOf(`{"do":"set","key":"a/b","value":1}`), `set pay: key "a/b": '/' is not one of A-Z, a-z, 0-9, '_', '-' and '.' at byte 1, after "a"`, "/commands/0/key", commands.ErrName},
		{"no value", commandsOf(`{"do":"set","key":"a"}`), `set pay/a: value is missing`, "/commands/0/value", commands.ErrMalformed},
		{"value with a member twice", commandsOf(`{"do":"set","key":"a","value":{"` + secret + `":1,"` + secret + `":2}}`), `set pay/a: value has an object with the same member twice, at byte 22`, "/commands/0/value", commands.ErrMalformed},
		{"value too large", commandsOf(`{"do":"set","key":"a","value":"` + strings.Repeat("x", events.MaxValueBytes) + `"}`), `set pay/a: value is 262146 bytes, more than 262144`, "/commands/0/value", commands.ErrLimit},
		{"value out of range", commandsOf(`{"do":"set","key":"a","value":1e999}`), `set pay/a: value has a number out of the range of a float64`, "/commands/0/value", commands.ErrMalformed},
		{"set with a definition", commandsOf(`{"do":"unset","key":"a","value":1}`), `unset pay/a: has an unknown member "value"; allowed are do, expect, key`, "/commands/0", commands.ErrMalformed},
		{"no definition", commandsOf(`{"do":"define","key":"a"}`), `define pay/a: definition is missing`, "/commands/0/definition", commands.ErrMalformed},
		{"definition without kind", commandsOf(`{"do":"define","key":"a","definition":{}}`), `define pay/a: definition.kind is missing`, "/commands/0/definition/kind", commands.ErrMalformed},
		{"unknown member of a definition", commandsOf(`{"do":"define","key":"a","definition":{"kind":"int","minimum":1}}`), `define pay/a: definition has an unknown member "minimum"; allowed are default, description, enum, group, kind, labels, max, min, pattern, requires, schema, sensitive, unit`, "/commands/0/definition", commands.ErrMalformed},
		{"definition too large", commandsOf(`{"do":"define","key":"a","definition":{"kind":"int","description":"` + strings.Repeat("x", events.MaxDefinitionBytes) + `"}}`), `define pay/a: definition is 65567 bytes, more than 65536`, "/commands/0/definition", commands.ErrLimit},
		{"bad required key", commandsOf(`{"do":"define","key":"a","definition":{"kind":"int","requires":["a","b c"]}}`), `define pay/a: key "b c": ' ' is not one of A-Z, a-z, 0-9, '_', '-' and '.' at byte 1, after "b"`, "/commands/0/definition/requires/1", commands.ErrName},
		{"bad choice", commandsOf(`{"do":"define","key":"a","definition":{"kind":"int","enum":[1,1e999]}}`), `define pay/a: definition.enum.1 has a number out of the range of a float64`, "/commands/0/definition/enum/1", commands.ErrMalformed},
		{"sensitive not bool", commandsOf(`{"do":"define","key":"a","definition":{"kind":"int","sensitive":1}}`), `define pay/a: definition.sensitive is not true or false`, "/commands/0/definition/sensitive", commands.ErrMalformed},
		{"open not bool", commandsOf(`{"do":"create","open":"yes"}`), `create pay: open is not true or false`, "/commands/0/open", commands.ErrMalformed},
		{"label not text", commandsOf(`{"do":"create","labels":{"a":1}}`), `create pay: labels have one that is not a string`, "/commands/0/labels", commands.ErrMalformed},
		{"label without a name", commandsOf(`{"do":"create","labels":{"":"x"}}`), `create pay: labels have one without a name`, "/commands/0/labels", commands.ErrMalformed},
		{"too many labels", commandsOf(`{"do":"create","labels":{` + manyLabels(65) + `}}`), `create pay: labels has more than 64 members`, "/commands/0/labels", commands.ErrLimit},
		{"description too long", commandsOf(`{"do":"create","description":"` + strings.Repeat("x", 5000) + `"}`), `create pay: description is 5000 bytes, more than 4096`, "/commands/0/description", commands.ErrLimit},
		{"no tag", commandsOf(`{"do":"tag","revision":1}`), `tag pay: tag is missing`, "/commands/0/tag", commands.ErrMalformed},
		{"tag like a number", commandsOf(`{"do":"untag","tag":"41"}`), `untag pay: tag "41": does not begin with a letter, at byte 0`, "/commands/0/tag", commands.ErrName},
		{"tag of no revision", commandsOf(`{"do":"tag","tag":"a","revision":0}`), `tag pay: revision is not a whole number, 1 or more`, "/commands/0/revision", commands.ErrMalformed},
		{"restored", commandsOf(`{"do":"restored","namespace":"pay","revision":1,"position":1}`), `pay: do "restored" is not a command; it is one of create, define, remove, set, tag, unset, untag`, "/commands/0/do", commands.ErrMalformed},
		{"second command", commandsOf(`{"do":"unset","key":"a"},{"do":"set","key":"b"}`), `set pay/b: value is missing`, "/commands/1/value", commands.ErrMalformed},
		{"several problems", `{"reason":1,"commands":[{"do":"set","key":"a"},{"do":"sett"}]}`, `pay: reason is not a string; set pay/a: value is missing; pay: do "sett" is not a command; it is one of create, define, remove, set, tag, unset, untag`, "/reason", commands.ErrMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := commands.Parse("pay", "ann", []byte(tt.body))
			var refused *commands.Refused
			if !errors.As(err, &refused) {
				t.Fatalf("got %v, want a refusal", err)
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got := refused.Problems[0].Pointer(); got != tt.pointer {
				t.Errorf("pointer: got %q, want %q", got, tt.pointer)
			}
			if !errors.Is(err, tt.err) {
				t.Errorf("reason: got %v, want %v", refused.Problems[0].Err, tt.err)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the text repeats a value: %s", err)
			}
		})
	}
}

func manyLabels(n int) string {
	labels := make([]string, n)
	for i := range labels {
		labels[i] = fmt.Sprintf(`"l%d":"x"`, i)
	}
	return strings.Join(labels, ",")
}

func TestActor(t *testing.T) {
	for actor, want := range map[string]string{
		"":                       "pay: actor is missing",
		"a\nb":                   "pay: actor has a tab or a line break",
		"a\x1b[0m":               "pay: actor has a control character at byte 1",
		"\xff":                   "pay: actor is not valid UTF-8",
		strings.Repeat("a", 257): "pay: actor is 257 bytes, more than 256",
	} {
		_, err := commands.Parse("pay", actor, []byte(`{"commands":[{"do":"unset","key":"a"}]}`))
		if err == nil || err.Error() != want {
			t.Errorf("Parse for %q: got %v, want %s", actor, err, want)
		}
		cs := commands.ChangeSet{Namespace: "pay", Actor: actor, Commands: []commands.Command{commands.Unset{Key: "a"}}}
		if err := cs.Check(); err == nil || err.Error() != want {
			t.Errorf("Check for %q: got %v, want %s", actor, err, want)
		}
	}
	cs := commands.ChangeSet{Namespace: "pay", Actor: "ann@example.com", Commands: []commands.Command{commands.Unset{Key: "a"}}}
	if err := cs.Check(); err != nil {
		t.Error(err)
	}
}

func TestManyMalformedCommandsAreCut(t *testing.T) {
	_, err := commands.Parse("pay", "ann", []byte(`{"commands":[`+strings.Repeat(`{"do":"x"},`, 40)+`1]}`))
	var refused *commands.Refused
	if !errors.As(err, &refused) || len(refused.Problems) != 21 || refused.Problems[20].Detail != "and 21 more problems" {
		t.Errorf("got %v", err)
	}
}

func TestMarshalIsParsed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cs := anyChangeSet(t)
		body, err := json.Marshal(cs)
		if err != nil {
			t.Fatal(err)
		}
		got, err := commands.Parse(cs.Namespace, cs.Actor, body)
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		if diff := cmp.Diff(cs, got); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", body, diff)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"reason":"r","expect":{"revision":1},"commands":[{"do":"create","open":true,"labels":{"a":"b"}}]}`,
		`{"commands":[{"do":"define","key":"a","definition":{"kind":"int","enum":[1],"requires":["b"]}},{"do":"set","key":"a","value":{"a":[1,"]"]}}]}`,
		`{"commands":[{"do":"unset","key":"a","expect":{"position":1}},{"do":"remove","key":"b"}]}`,
		` { "commands" : [ { "do" : "set" , "key" : "a" , "value" : [ ] } ] } `,
		`{"commands":[{"do":"set","key":"\u0061","value":"\\"}]}`, `{`, `[]`, `{"a":"\ud800"}`, "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		cs, err := commands.Parse("pay", "ann", body)
		if err != nil {
			var refused *commands.Refused
			if !errors.As(err, &refused) || len(refused.Problems) == 0 || err.Error() == "" {
				t.Fatalf("%q: not a refusal: %v", body, err)
			}
			return
		}
		again, err := json.Marshal(cs)
		if err != nil {
			t.Fatal(err)
		}
		same, err := commands.Parse("pay", "ann", again)
		if err != nil {
			t.Fatalf("%q is written %s, which is refused: %v", body, again, err)
		}
		if diff := cmp.Diff(cs, same); diff != "" {
			t.Fatalf("%q is written %s (-want +got):\n%s", body, again, diff)
		}
	})
}

func ExampleParse() {
	_, err := commands.Parse("payments", "ann", []byte(`{"commands": [{"do": "set", "key": "db/host", "value": "x"}]}`))
	var refused *commands.Refused
	if errors.As(err, &refused) {
		fmt.Println(refused.Problems[0].Pointer())
	}
	fmt.Println(err)
	// Output:
	// /commands/0/key
	// set payments: key "db/host": '/' is not one of A-Z, a-z, 0-9, '_', '-' and '.' at byte 2, after "db"
}
