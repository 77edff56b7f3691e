package view

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
)

func sampleChangeSet() ChangeSet {
	e := samples["string"]
	return ChangeSet{
		Epoch: "0b6c1d0e-9d5f-4c37-8f0f-5d3f3a0c7c11", Term: 3, Namespace: "payments.prod", Position: 345, Prev: 300, Revision: 7,
		Origin: "payments", OriginRevision: 12, Actor: "alice", Reason: "more <room>",
		Time:    time.Date(2026, 2, 3, 4, 5, 6, 789000, time.UTC),
		Changes: []Change{{Key: "db.max_conns", Entry: &e}, {Key: "gone"}},
	}
}

func sampleRebuilt() ChangeSet {
	cs := sampleChangeSet()
	cs.Rebuilt, cs.Prev, cs.Changes, cs.Reason = true, 0, nil, ""
	return cs
}

func TestMessageGolden(t *testing.T) {
	for name, cs := range map[string]ChangeSet{"change-set": sampleChangeSet(), "rebuilt": sampleRebuilt()} {
		t.Run(name, func(t *testing.T) {
			msg, err := Message(cs)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "payload."+name+".json", msg.Payload)
			golden(t, "stream."+name+".json", streamText(t, cs))
			got, err := ParseMessage(msg)
			if err != nil {
				t.Fatal(err)
			}
			if cs.Changes == nil {
				cs.Changes = []Change{}
			}
			if diff := cmp.Diff(cs, got); diff != "" {
				t.Errorf("parsed (-want +got):\n%s", diff)
			}
		})
	}
}

// streamText shows a stream entry as the library's own unmarshaller sees it.
func streamText(t *testing.T, cs ChangeSet) []byte {
	t.Helper()
	fields, err := StreamFields(cs)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]any{}
	for i := 0; i < len(fields); i += 2 {
		switch v := fields[i+1].(type) {
		case []byte:
			values[fields[i].(string)] = string(v)
		default:
			values[fields[i].(string)] = v
		}
	}
	msg, err := redisstream.DefaultMarshallerUnmarshaller{}.Unmarshal(values)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	if err := enc.Encode(struct {
		Order    []any
		UUID     string
		Metadata message.Metadata
		Bytes    int
	}{[]any{fields[0], fields[2], fields[4]}, msg.UUID, msg.Metadata, len(msg.Payload)}); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func TestMessageID(t *testing.T) {
	id := func(change func(*ChangeSet)) string {
		cs := sampleRebuilt()
		change(&cs)
		msg, err := Message(cs)
		if err != nil {
			t.Fatal(err)
		}
		return msg.UUID
	}
	same := id(func(*ChangeSet) {})
	if got := id(func(cs *ChangeSet) { cs.Term++ }); got != same {
		t.Errorf("written again by another projector, the message has the id %s, want %s", got, same)
	}
	for name, change := range map[string]func(*ChangeSet){
		"epoch":       func(cs *ChangeSet) { cs.Epoch = "other" },
		"namespace":   func(cs *ChangeSet) { cs.Namespace = "payments" },
		"position":    func(cs *ChangeSet) { cs.Position++ },
		"not rebuilt": func(cs *ChangeSet) { cs.Rebuilt = false },
		"rebuilt at":  func(cs *ChangeSet) { cs.Time = cs.Time.Add(time.Microsecond) },
	} {
		if id(change) == same {
			t.Errorf("another %s gives the same id", name)
		}
	}
}

func TestMessageRefuses(t *testing.T) {
	for name, change := range map[string]func(*ChangeSet){
		"no epoch":         func(cs *ChangeSet) { cs.Epoch = "" },
		"no position":      func(cs *ChangeSet) { cs.Position, cs.Prev = 0, 0 },
		"prev not before":  func(cs *ChangeSet) { cs.Prev = cs.Position },
		"bad namespace":    func(cs *ChangeSet) { cs.Namespace = "a..b" },
		"value is no JSON": func(cs *ChangeSet) { cs.Changes = []Change{{Key: "k", Entry: &Entry{Value: "{hunter2"}}} },
		"no value":         func(cs *ChangeSet) { cs.Changes = []Change{{Key: "k", Entry: &Entry{}}} },
	} {
		cs := sampleChangeSet()
		change(&cs)
		if _, err := Message(cs); err == nil {
			t.Errorf("%s: encoded", name)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error repeats a value: %v", name, err)
		}
	}
	for name, payload := range map[string]string{
		"empty":       ``,
		"no JSON":     `hunter2`,
		"other JSON":  `{"a":1}`,
		"other types": `{"epoch":"e","namespace":"a","position":"hunter2"}`,
		"no value":    `{"epoch":"e","namespace":"a","position":2,"prev":1,"changes":[{"key":"k","entry":{"kind":"int"}}]}`,
	} {
		if cs, err := ParseMessage(message.NewMessage("id", []byte(payload))); err == nil {
			t.Errorf("%s: parsed to %+v", name, cs)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error repeats a value: %v", name, err)
		}
	}
}

func TestParseMessageIgnoresUnknownMembers(t *testing.T) {
	msg := message.NewMessage("id", []byte(`{"epoch":"e","namespace":"a","position":2,"prev":1,"new":{"x":1},"changes":[{"key":"k","entry":null,"y":2}]}`))
	cs, err := ParseMessage(msg)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Change{{Key: "k"}}, cs.Changes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
