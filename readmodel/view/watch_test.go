package view_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// TestSnapshotInParts: what is written in parts reads back whole.
func TestSnapshotInParts(t *testing.T) {
	want := view.Snapshot{Epoch: "e", Namespace: "payments", Position: 9, Revision: 4, Values: map[events.Key]view.Entry{
		"a": {Value: `"<x>"`, Kind: events.String, Revision: 1, Position: 2, From: "payments"},
		"b": {Value: "7", Kind: events.Int, Revision: 3, Position: 5, From: "default", Sensitive: true},
	}}
	for name, s := range map[string]view.Snapshot{"two": want, "none": {Epoch: "e", Namespace: "n", Values: map[events.Key]view.Entry{}}} {
		b := view.AppendSnapshotOpen(nil, s)
		n := 0
		for key, e := range s.Values {
			b = view.AppendSnapshotEntry(b, n, key, e)
			n++
		}
		got, err := view.ParseSnapshot(append(b, view.SnapshotEnd...))
		if err != nil {
			t.Fatalf("%s: %v in %s", name, err, b)
		}
		if diff := cmp.Diff(s, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for _, bad := range []string{``, `{}`, `{"epoch":"e","namespace":"n"}`, `{"epoch":"e","namespace":"N","values":{}}`,
		`{"epoch":"e","namespace":"n","position":-1,"values":{}}`, `{"epoch":"e","namespace":"n","values":{"a":{}}}`} {
		if _, err := view.ParseSnapshot([]byte(bad)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func TestParseBookmark(t *testing.T) {
	got, err := view.ParseBookmark([]byte(`{"epoch":"e","position":3,"head":5,"more":1}`))
	if diff := cmp.Diff(view.Bookmark{Epoch: "e", Position: 3, Head: 5}, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	for _, bad := range []string{``, `{}`, `{"epoch":"e","position":3,"head":2}`, `{"epoch":"e","position":-1,"head":2}`} {
		if _, err := view.ParseBookmark([]byte(bad)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}
