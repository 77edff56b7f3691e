package projections

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

func askReplay(t testing.TB, rdb redis.UniversalClient, id string) view.Replay {
	t.Helper()
	r, err := view.AskReplay(context.Background(), rdb, id, "ann")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// replayed waits until a replay is done.
func replayed(t testing.TB, rdb redis.UniversalClient, id string) view.Replay {
	t.Helper()
	var r view.Replay
	testenv.Eventually(t, "replay "+id+" is done", func() bool {
		var err error
		if r, err = view.LoadReplay(context.Background(), rdb); err != nil {
			t.Fatal(err)
		}
		return r.ID == id && r.State == view.ReplayDone
	})
	return r
}

// tamper gives a key another value in Redis, as no look at heads and counts can see.
func tamper(t testing.TB, rdb redis.UniversalClient, ns events.Namespace, key string) {
	t.Helper()
	forged := view.EncodeEntry(view.Entry{Value: `"forged"`, Kind: events.String, Revision: 1, Position: 1, From: "a"})
	if err := rdb.HSet(context.Background(), view.ValuesKey(ns), key, forged).Err(); err != nil {
		t.Fatal(err)
	}
}

// A replay puts right what nothing else notices, while changes flow and readers read: they see every key, and never an
// older position.
func TestReplay(t *testing.T) {
	t.Parallel()
	leakFree(t)
	ctx := context.Background()
	log := testenv.Log(t)
	_, rdb := testenv.Redis(t)
	running(t, log, rdb, quick)
	plant(t, log)
	for i := range 12 {
		change(t, log, i)
	}
	equalToLog(t, log, rdb)
	tamper(t, rdb, "a.b", "x")
	tamper(t, rdb, "z", "x")
	if err := rdb.HSet(ctx, view.HeadKey("ghost"), "epoch", headOf(t, log).Epoch, "position", 1).Err(); err != nil {
		t.Fatal(err)
	}
	if compare(log, rdb) == nil {
		t.Fatal("nothing is wrong that a replay could put right")
	}

	reading, stop := context.WithCancel(ctx)
	var readers sync.WaitGroup
	readers.Go(func() { neverGoesBack(t, reading, rdb, "a", 3) })
	for i := range 40 {
		if i == 10 {
			askReplay(t, rdb, "first")
			if joined := askReplay(t, rdb, "second"); joined.ID != "first" || !joined.UnderWay() {
				t.Errorf("while one is under way, another is begun: %+v", joined)
			}
		}
		change(t, log, i)
	}
	got := replayed(t, rdb, "first")
	stop()
	readers.Wait()
	equalToLog(t, log, rdb)
	if got.Views != 4 || got.Done != 4 || got.Keys < 9 || got.By != "ann" || got.StartedAt.IsZero() || got.EndedAt.Before(got.StartedAt) {
		t.Errorf("got %+v", got)
	}
	if head, err := view.LoadHead(ctx, rdb, "z"); err != nil || head.Replay != "first" {
		t.Errorf("the view does not say that it was replayed: %+v, %v", head, err)
	}
	change(t, log, 3)
	projected(t, rdb, headOf(t, log).Position)
	if head, err := view.LoadHead(ctx, rdb, "z"); err != nil || head.Replay != "first" {
		t.Errorf("a change takes away what the replay said: %+v, %v", head, err)
	}
}

// neverGoesBack loads a view until ctx ends: it has at least so many keys, and its position only grows.
func neverGoesBack(t *testing.T, ctx context.Context, rdb redis.UniversalClient, ns events.Namespace, keys int) {
	var last events.Position
	for ctx.Err() == nil {
		n := 0
		head, err := view.Load(context.Background(), rdb, ns, func(events.Key, view.Entry) error { n++; return nil })
		if err != nil || n < keys || head.Position < last {
			t.Errorf("after position %d a reader saw position %d with %d keys: %v", last, head.Position, n, err)
			return
		}
		last = head.Position
	}
}

// What a projector began and did not end, the next one does from the start.
func TestReplayIsTakenOver(t *testing.T) {
	t.Parallel()
	log := testenv.Log(t)
	_, rdb := testenv.Redis(t)
	_, stop := running(t, log, rdb, quick)
	plant(t, log)
	equalToLog(t, log, rdb)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	half := askReplay(t, rdb, "half")
	half.State, half.Views, half.Done, half.Keys, half.StartedAt = view.ReplayRunning, 4, 3, 700, time.Now().Add(-time.Hour)
	if err := rdb.HSet(context.Background(), view.ReplayKey, half.Fields()...).Err(); err != nil {
		t.Fatal(err)
	}
	tamper(t, rdb, "a", "x")
	running(t, log, rdb, quick)
	got := replayed(t, rdb, "half")
	if got.Done != 4 || got.Keys != 10 || !got.StartedAt.After(half.StartedAt) {
		t.Errorf("got %+v", got)
	}
	equalToLog(t, log, rdb)
}

// A replay that Redis has lost is not told of any more, and one that is asked for then is another.
func TestReplayIsLost(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	log := testenv.Log(t)
	_, rdb := testenv.Redis(t)
	plant(t, log)
	s := newSession(New(log, rdb, quick), 1)
	if err := s.start(ctx); err != nil {
		t.Fatal(err)
	}
	askReplay(t, rdb, "lost")
	if err := s.takeUpReplay(ctx); err != nil || s.replay == nil {
		t.Fatalf("not taken up: %v", err)
	}
	if err := rdb.Del(ctx, view.ReplayKey).Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.replayTree(ctx); err != nil || s.replay != nil || rdb.Exists(ctx, view.ReplayKey).Val() != 0 {
		t.Errorf("it goes on: %+v, %v", s.replay, err)
	}
	askReplay(t, rdb, "next")
	for range 3 {
		if err := s.takeUpReplay(ctx); err != nil {
			t.Fatal(err)
		}
		if s.replay != nil {
			if err := s.replayTree(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	if r, err := view.LoadReplay(ctx, rdb); err != nil || r.ID != "next" || r.State != view.ReplayDone {
		t.Errorf("got %+v, %v", r, err)
	}
}
