package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
)

// What is broken, and when, × whether another process wrote before, so that both ways to append are met. After each, the
// retry with the same key answers, and nothing is lost or doubled.
func TestAppendThroughFaults(t *testing.T) {
	for _, fault := range []struct {
		name    string
		idle    func(*testenv.Network) // before Append is called
		decided func(*testenv.Network) // between the decision that counts and COMMIT
		outcome error
		stored  bool
	}{
		{"the answer is lost", nil, (*testenv.Network).LoseAnswers, eventlog.ErrUnknown, true},
		{"nothing passes", nil, (*testenv.Network).Hang, eventlog.ErrUnknown, false},
		{"cut", nil, (*testenv.Network).Cut, eventlog.ErrUnknown, false},
		{"cut while idle", (*testenv.Network).Cut, nil, eventlog.ErrUnavailable, false},
		{"cut and mended while idle", func(n *testenv.Network) { n.Cut(); n.Restore() }, nil, nil, true},
	} {
		for _, contended := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/contended=%t", fault.name, contended), func(t *testing.T) {
				t.Parallel()
				_, app := testenv.Database(t)
				network := testenv.Proxy(t, app)
				direct := open(t, eventlog.Config{URL: app})
				log := open(t, eventlog.Config{URL: network.URL, Timeout: 500 * time.Millisecond})
				mustAppend(t, log, "a", created)
				last := events.Position(2) // in the end
				if contended {
					mustAppend(t, direct, "a", set("other", 0))
					last++
				}
				if fault.idle != nil {
					since := time.Now()
					testenv.Eventually(t, "the connection is idle", func() bool { return time.Since(since) > eventlog.MaxUnchecked })
					fault.idle(network)
				}
				req := keyed("a", "key", "body")
				a, err := log.Append(t.Context(), req, func(tree config.Tree) ([]events.Event, error) {
					if tree.Position() == last-1 && fault.decided != nil {
						fault.decided(network)
					}
					return []events.Event{set("k", 1)}, nil
				})
				if !errors.Is(err, fault.outcome) {
					t.Errorf("got %v, want %v", err, fault.outcome)
				}
				if fault.outcome != nil {
					network.Cut()
					network.Restore()
					testenv.Eventually(t, "the database is reached again", func() bool {
						a, err = log.Append(t.Context(), req, these(set("k", 1)))
						return !errors.Is(err, eventlog.ErrUnavailable) // a connection begun during the cut may still end
					})
				}
				if err != nil || a.Position != last {
					t.Errorf("in the end: got %+v, %v, want position %d", a, err, last)
				}
				if want := fault.stored && fault.outcome != nil; a.Replayed != want {
					t.Errorf("replayed: got %t, want %t", a.Replayed, want)
				}
				if n := len(readAll(t, direct)); events.Position(n) != last {
					t.Errorf("got %d events, want %d", n, last)
				}
			})
		}
	}
}

// Backends are terminated under load by several processes. Each client posts until it has an answer.
func TestAppendThroughTerminations(t *testing.T) {
	_, app := testenv.Database(t)
	logs := []*eventlog.Log{open(t, eventlog.Config{URL: app}), open(t, eventlog.Config{URL: app})}
	mustAppend(t, logs[0], "a", created)
	const clients, each = 8, 60
	var (
		load     sync.WaitGroup
		answered atomic.Int64
		broken   atomic.Int64
	)
	for c := range clients {
		load.Go(func() {
			key := events.Key(fmt.Sprintf("c%d", c))
			for i := range each {
				req := keyed("a", fmt.Sprintf("%d-%d", c, i), "x")
				for {
					_, err := logs[(c+i)%2].Append(context.Background(), req, these(set(key, i)))
					if err == nil {
						break
					}
					broken.Add(1)
					if !errors.Is(err, eventlog.ErrUnknown) && !errors.Is(err, eventlog.ErrUnavailable) {
						t.Error(err)
						return
					}
				}
				answered.Add(1)
			}
		})
	}
	killer, err := pgx.Connect(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	defer killer.Close(context.Background())
	for round := range 8 {
		testenv.Eventually(t, "the load goes on", func() bool { return answered.Load() >= int64(round*clients*each/10) })
		if _, err := killer.Exec(t.Context(), `
			SELECT pg_terminate_backend(pid)
			FROM pg_stat_activity
			WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()`); err != nil {
			t.Fatal(err)
		}
	}
	load.Wait()
	t.Logf("%d answers were errors", broken.Load())
	next := map[events.Key]int{}
	for _, ev := range readAll(t, logs[0])[1:] {
		key := events.KeyOf(ev.Event)
		if got, want := ev.Event, set(key, next[key]); got != want {
			t.Fatalf("event %d is %v, want %v: lost or doubled", ev.Position, got, want)
		}
		next[key]++
	}
	for c := range clients {
		if n := next[events.Key(fmt.Sprintf("c%d", c))]; n != each {
			t.Errorf("client %d: %d of %d change sets are in the log", c, n, each)
		}
	}
}

// Backends are terminated while trees come and go. Whatever is decided, or read as the present, has all that was stored:
// what was decided ahead, or loaded, over a connection that broke is void.
func TestLoadThroughTerminations(t *testing.T) {
	_, app := testenv.Database(t)
	log := open(t, eventlog.Config{URL: app, CacheKeys: 1})
	const clients, rounds = 12, 60
	var (
		load     sync.WaitGroup
		answered atomic.Int64
		done     atomic.Bool
	)
	for c := range clients {
		ns := events.Namespace(fmt.Sprintf("n%d", c))
		mustAppend(t, log, ns, created)
		load.Go(func() {
			for i := 0; !done.Load(); i++ {
				req := keyed(ns, fmt.Sprint(c, " ", i), "x")
				for {
					_, err := log.Append(context.Background(), req, func(tree config.Tree) ([]events.Event, error) {
						space, ok := tree.Namespace(ns)
						if own, _ := space.Key("k"); !ok || space.Revision > 1 && own.Value == "" {
							return nil, errors.New("decided on a tree without what is stored")
						}
						return []events.Event{set("k", i)}, nil
					})
					if err == nil {
						break
					}
					if !errors.Is(err, eventlog.ErrUnknown) && !errors.Is(err, eventlog.ErrUnavailable) {
						t.Error(err)
						return
					}
				}
				answered.Add(1)
				if tree, err := log.Present(context.Background(), ns); err == nil {
					if _, ok := tree.Namespace(ns); !ok {
						t.Errorf("the present of %s is empty", ns)
						return
					}
				}
			}
		})
	}
	killer, err := pgx.Connect(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	defer killer.Close(context.Background())
	for range rounds {
		goal := answered.Load() + 10
		testenv.Eventually(t, "the load goes on", func() bool { return t.Failed() || answered.Load() >= goal })
		if _, err := killer.Exec(t.Context(), `
			SELECT pg_terminate_backend(pid)
			FROM pg_stat_activity
			WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()`); err != nil {
			t.Fatal(err)
		}
	}
	done.Store(true)
	load.Wait()
	readAll(t, log)
}

// A server that is killed and comes back: what was acknowledged is there, the log goes on by itself.
func TestAppendThroughCrash(t *testing.T) {
	server, _, app := testenv.PostgresServer(t)
	// Test servers commit asynchronously: a kill would lose what was just granted, and what was just acknowledged.
	execute(t, server.URL, `CHECKPOINT`)
	log := open(t, eventlog.Config{URL: withParameter(t, app, "synchronous_commit", "on"), Timeout: 2 * time.Second})
	mustAppend(t, log, "a", created)
	server.Kill()
	if _, err := log.Append(t.Context(), request("a"), these(set("k", 1))); !errors.Is(err, eventlog.ErrUnavailable) && !errors.Is(err, eventlog.ErrUnknown) {
		t.Errorf("without a server: got %v", err)
	}
	if err := log.Ping(t.Context()); !errors.Is(err, eventlog.ErrUnavailable) {
		t.Errorf("ping: got %v, want %v", err, eventlog.ErrUnavailable)
	}
	server.Start()
	testenv.Eventually(t, "the log goes on", func() bool {
		_, err := log.Append(t.Context(), keyed("a", "k", "x"), these(set("k", 2)))
		return err == nil
	})
	if all := readAll(t, log); len(all) != 2 {
		t.Errorf("got %d events, want 2", len(all))
	}
}

// A restore makes another history out of the same positions: nothing may be decided by what was read of the old one.
func TestAppendInNewEpoch(t *testing.T) {
	owner, app := testenv.Database(t)
	log := open(t, eventlog.Config{URL: app})
	mustAppend(t, log, "a", created, set("k", 1))
	execute(t, owner, `ALTER TABLE events DISABLE TRIGGER events_are_facts`)
	execute(t, owner, `UPDATE events SET data = '{"value":7}' WHERE position = 2`)
	execute(t, owner, `UPDATE head SET epoch = gen_random_uuid()`)
	var saw events.Value
	if _, err := log.Append(t.Context(), request("a"), func(tree config.Tree) ([]events.Event, error) {
		entry, _ := tree.Effective("a", "k")
		saw = entry.Value
		return []events.Event{set("k", 8)}, nil
	}); err != nil {
		t.Fatal(err)
	}
	if saw != "7" {
		t.Errorf("decided by value %s of the old epoch, want 7", saw)
	}
}

// A process far behind catches up, and one very far behind loads anew.
func TestAppendFarBehind(t *testing.T) {
	owner, app := testenv.Database(t)
	log := open(t, eventlog.Config{URL: app})
	mustAppend(t, log, "a", created)
	for _, n := range []int{5_000, 150_000} {
		head, err := log.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		execute(t, owner, `
			WITH moved AS (UPDATE head SET position = position + $1 RETURNING at)
			INSERT INTO events
			SELECT $2 + i, 'a', $2 + i, 'value.set.v1', 'k', '{"value":1}', 'x', '', at
			FROM moved, generate_series(1, $1::bigint) i`, n, head.Position)
		a := mustAppend(t, log, "a", set("k", 2))
		if want := head.Position + events.Position(n) + 1; a.Position != want || a.Revision != events.Revision(want) {
			t.Errorf("after %d events of others: got %+v, want position and revision %d", n, a, want)
		}
	}
}
