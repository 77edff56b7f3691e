package view_test

import (
	"encoding/json"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// replay is the hash in testdata.
var replay = view.Replay{
	ID: "A7", By: "ann", State: view.ReplayRunning, Views: 12, Done: 5, Keys: 4711, Position: 345,
	AskedAt: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC), StartedAt: time.Date(2026, 2, 3, 4, 5, 7, 789000, time.UTC),
}

func TestReplayHash(t *testing.T) {
	t.Parallel()
	_, rdb := testenv.Redis(t)
	if err := rdb.HSet(t.Context(), view.ReplayKey, replay.Fields()...).Err(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("testdata/replay-hash.json")
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]string
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, rdb.HGetAll(t.Context(), "holdfast:replay").Val()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got, err := view.LoadReplay(t.Context(), rdb)
	if diff := cmp.Diff(replay, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestAskReplay(t *testing.T) {
	t.Parallel()
	_, rdb := testenv.Redis(t)
	ask := func(id, want string) {
		t.Helper()
		got, err := view.AskReplay(t.Context(), rdb, id, "ann")
		loaded, loadErr := view.LoadReplay(t.Context(), rdb)
		if err := errors.Join(err, loadErr); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(loaded, got, cmpopts.EquateEmpty()); diff != "" || got.ID != want {
			t.Errorf("asked for %s, got %+v, want %s\n%s", id, got, want, diff)
		}
	}
	if _, err := view.LoadReplay(t.Context(), rdb); !errors.Is(err, view.ErrAbsent) {
		t.Errorf("got %v, want %v", err, view.ErrAbsent)
	}
	ask("one", "one")
	ask("two", "one")
	rdb.HSet(t.Context(), view.ReplayKey, "state", "running")
	ask("three", "one")
	rdb.HSet(t.Context(), view.ReplayKey, "state", "done", "done", 5)
	ask("four", "four")
	rdb.Set(t.Context(), view.ReplayKey, "text", 0)
	ask("five", "five")
	rdb.HSet(t.Context(), view.ReplayKey, "state", "foreign")
	if _, err := view.LoadReplay(t.Context(), rdb); !errors.Is(err, view.ErrIncomplete) {
		t.Errorf("got %v, want %v", err, view.ErrIncomplete)
	}
	ask("six", "six")
}
