package readmodel_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

var (
	streamKey = view.ChangesKey(ns)
	streamID  = view.StreamID
)

// What happens to the view and its stream, and afterwards the reader shows what was projected, live.
func TestReaderFindsItsWayBack(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, c := range map[string]struct {
		fault    func(p *projector)
		resynced bool
	}{
		"stream trimmed past the reader": {func(p *projector) {
			p.atomically(func(tx redis.Pipeliner) {
				p.add(tx, "a", "2")
				p.add(tx, "a", "3")
				p.add(tx, "b", "3")
				tx.XTrimMaxLen(ctx, streamKey, 1)
			})
		}, true},
		"stream deleted with what it had": {func(p *projector) {
			p.atomically(func(tx redis.Pipeliner) {
				p.add(tx, "a", "2")
				tx.Del(ctx, streamKey)
			})
		}, true},
		"stream deleted, nothing missing": {func(p *projector) {
			p.rdb.Del(ctx, streamKey)
			p.set("a", "2")
		}, false},
		"entry that is not the library's": {func(p *projector) {
			p.head.Position++
			p.rdb.XAdd(ctx, &redis.XAddArgs{Stream: streamKey, ID: streamID(p.head.Position), Values: []string{"no", "message"}})
			p.set("a", "2")
		}, false},
		"entry that is no change set": {func(p *projector) {
			p.head.Position++
			p.rdb.XAdd(ctx, &redis.XAddArgs{Stream: streamKey, ID: streamID(p.head.Position), Values: []string{
				"_watermill_message_uuid", "1", "metadata", "", "payload", `{"epoch": 7}`,
			}})
			p.set("a", "2")
		}, false},
		"last entry damaged": {func(p *projector) {
			p.atomically(func(tx redis.Pipeliner) {
				p.add(tx, "a", "2")
				tx.XDel(ctx, streamKey, streamID(p.head.Position))
				tx.XAdd(ctx, &redis.XAddArgs{
					Stream: streamKey, ID: p.damagedID(), Values: []string{"_watermill_message_uuid", "1", "payload", "{"},
				})
			})
		}, true},
		"entry delivered twice": {func(p *projector) {
			before := p.at()
			p.set("a", "2")
			p.rdb.Del(ctx, streamKey)
			p.atomically(func(tx redis.Pipeliner) { before.add(tx, "a", "2") }) // the same again
			p.set("b", "3")
		}, false},
		"rebuilt where the reader is": {func(p *projector) { p.rebuild() }, false},
		"rebuilt further on": {func(p *projector) {
			p.entries["b"] = view.Entry{Value: "7", Kind: events.Int, Position: 9, From: "default"}
			p.head.Position, p.head.Revision = 9, 9
			p.rebuild()
			p.set("c", "1")
		}, true},
		"another history, further back": {func(p *projector) {
			p.set("a", "2")
			p.set("a", "3")
			p.epoch, p.head, p.prev = "epoch-2", view.Head{Position: 1, Revision: 1}, 0
			p.entries = map[events.Key]view.Entry{"z": {Value: "1", Kind: events.Int, Position: 1, From: string(ns)}}
			p.rebuild()
			p.set("y", "1")
		}, true},
		"flushed": {func(p *projector) {
			p.rdb.FlushDB(ctx)
			p.rebuild()
			p.set("b", "1")
		}, false},
		"connections cut": {func(p *projector) {
			p.rdb.ClientKillByFilter(ctx, "SKIPME", "yes")
			p.set("a", "2")
		}, false},
		"connections cut, stream lost": {func(p *projector) {
			p.atomically(func(tx redis.Pipeliner) {
				tx.ClientKillByFilter(ctx, "SKIPME", "yes")
				p.add(tx, "a", "2")
				p.add(tx, "a", "3")
				tx.XTrimMaxLen(ctx, streamKey, 1)
			})
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, p, r := startServer(t)
			got := &recorder{}
			defer r.OnChange(got.add)()
			c.fault(p)
			p.beat(p.head.Position)
			wantEqual(t, r, p)
			if n := r.Status().Resyncs; (n > 0) != c.resynced {
				t.Errorf("got %d resyncs, want some: %t", n, c.resynced)
			}
			testenv.Eventually(t, "listeners were told the last position", func() bool { return got.position() == p.head.Position })
			got.wantChain(t, map[string]string{"a": "1"}, p)
		})
	}
}

// damagedID is the id of an entry that stands where the last one was.
func (p *projector) damagedID() string {
	return strings.Replace(streamID(p.head.Position), "-0", "-1", 1)
}

// An older replica has taken over: what is shown stays, until the projector has caught up.
func TestReaderNeverGoesBack(t *testing.T) {
	t.Parallel()
	p, r := start(t)
	old := p.at()
	waitFor(t, r, p.set("a", "2"))
	waitFor(t, r, p.set("a", "3"))
	old.rebuild()
	old.set("a", "2")
	waitState(t, r, readmodel.Stale)
	if err := r.Status().Err; err == nil || !strings.Contains(err.Error(), "is at 2, behind the 3 shown") {
		t.Errorf("got %v", err)
	}
	wantValue(t, r, "a", "3")
	old.set("a", "3")
	waitState(t, r, readmodel.Live)
	waitFor(t, r, old.set("a", "4"))
	wantValue(t, r, "a", "4")
	if n := r.Status().Resyncs; n != 0 {
		t.Errorf("got %d resyncs, want none", n)
	}
}

// A history that the projector does not work on any more is not loaded: a replica that was behind may show it.
func TestReaderKeepsItsHistory(t *testing.T) {
	t.Parallel()
	p, r := start(t)
	old := p.at()
	old.epoch = "epoch-0"
	old.entries["a"] = view.Entry{Value: "0", Kind: events.Int, Position: 1, From: string(ns)}
	old.rebuild()
	p.beat(1) // of the history shown
	waitState(t, r, readmodel.Stale)
	wantValue(t, r, "a", "1")
	p.rebuild()
	waitState(t, r, readmodel.Live)
	wantValue(t, r, "a", "1")
}

func TestAbsentViewKeepsValues(t *testing.T) {
	t.Parallel()
	p, r := start(t)
	p.rdb.FlushDB(t.Context())
	waitState(t, r, readmodel.Stale)
	if err := r.Status().Err; err == nil || !strings.Contains(err.Error(), "neither a view") {
		t.Errorf("got %v", err)
	}
	p.beat(1)
	testenv.Eventually(t, "status says that the view alone is absent", func() bool {
		err := r.Status().Err
		return err != nil && strings.Contains(err.Error(), "it holds no view of payments.prod")
	})
	wantValue(t, r, "a", "1")
	p.rebuild()
	waitState(t, r, readmodel.Live)
	if n := r.Status().Resyncs; n != 0 {
		t.Errorf("got %d resyncs, want none", n)
	}
}

// A view whose fields were lost is not taken for deleted keys.
func TestIncompleteViewKeepsValues(t *testing.T) {
	t.Parallel()
	p, r := start(t)
	p.atomically(func(tx redis.Pipeliner) {
		p.add(tx, "b", "2")
		tx.Del(context.Background(), streamKey)
		tx.HDel(context.Background(), view.ValuesKey(ns), "a")
	})
	waitState(t, r, readmodel.Stale)
	wantValue(t, r, "a", "1")
	p.rebuild()
	wantEqual(t, r, p)
}

func TestRedisKilled(t *testing.T) {
	t.Parallel()
	server, p, r := startServer(t)
	server.Kill()
	waitState(t, r, readmodel.Stale)
	wantValue(t, r, "a", "1")
	if st := r.Status(); st.Err == nil || st.Age == 0 || st.LastContact.IsZero() || st.Head != 1 {
		t.Errorf("status: %+v", st)
	}
	server.Start()
	p.rebuild()
	waitFor(t, r, p.set("a", "2"))
	wantEqual(t, r, p)
}

// A stopped Redis accepts connections and answers nothing.
func TestRedisHangs(t *testing.T) {
	t.Parallel()
	var log lines
	server := testenv.RedisServer(t)
	p := newProjector(t, client(t, server.URL))
	p.set("a", "1", "secret", `"hunter2"`)
	r := openLogged(t, server.URL, slog.New(slog.NewTextHandler(&log, nil)))
	server.Stop()
	began := time.Now()
	waitState(t, r, readmodel.Stale)
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %s to notice", took)
	}
	wantValue(t, r, "a", "1")
	testenv.Eventually(t, "some retries", func() bool { return r.Status().Age > 4*time.Second })
	server.Continue()
	waitFor(t, r, p.set("a", "2"))
	waitState(t, r, readmodel.Live)
	if log.count("msg=stale") != 1 || log.count("msg=live") != 2 || log.count("hunter2") != 0 {
		t.Errorf("got this log, want live, stale, live and no values:\n%s", &log.text)
	}

	server.Stop()
	began = time.Now()
	r.Close()
	if took := time.Since(began); took > time.Second {
		t.Errorf("close took %s", took)
	}
	server.Continue()
}

// The end of a context does not end a read of its own: closing the connection does.
func TestOpenDoesNotWaitForAHungRedis(t *testing.T) {
	t.Parallel()
	server := testenv.RedisServer(t)
	server.Stop()
	quickest := time.Hour
	for range 5 { // one of them should not have been held up by the machine
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		began := time.Now()
		_, err := readmodel.Open(ctx, string(ns), readmodel.Config{Redis: server.URL, Logger: slog.New(slog.DiscardHandler)})
		cancel()
		if err == nil {
			t.Fatal("opened")
		}
		quickest = min(quickest, time.Since(began))
	}
	if quickest > 350*time.Millisecond {
		t.Errorf("it took %s to give up after 100ms", quickest)
	}
}

func TestProjectorGone(t *testing.T) {
	t.Parallel()
	p, r := start(t)
	began := time.Now()
	waitState(t, r, readmodel.Stale)
	if took := time.Since(began); took < 4*time.Second || took > 8*time.Second {
		t.Errorf("noticed after %s, want 5 s and a beat", took)
	}
	if err := r.Status().Err; err == nil || !strings.Contains(err.Error(), "has not renewed its heartbeat") {
		t.Errorf("got %v", err)
	}
	waitFor(t, r, p.set("a", "2"))
	wantEqual(t, r, p)
}
