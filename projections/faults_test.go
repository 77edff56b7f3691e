package projections

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// plant posts a small tree of namespaces in which a change above may or may not show below.
func plant(t testing.TB, log *eventlog.Log) {
	t.Helper()
	post(t, log, "a", created(), defined("n", "1"), set("x", "1"), set("y", "1"))
	post(t, log, "a.b", created(), set("x", "2"))
	post(t, log, "a.b.c", created(), set("y", "3"))
	post(t, log, "z", created(), set("x", "1"))
}

// change posts the i-th of a run of changes all over the tree.
func change(t testing.TB, log *eventlog.Log, i int) {
	t.Helper()
	value := events.Value(fmt.Sprint(i))
	switch i % 4 {
	case 0:
		post(t, log, "a", set("x", value)) // shows in a only
	case 1:
		post(t, log, "a", set("y", value)) // shows in a and a.b
	case 2:
		post(t, log, "a.b", set("new", value), events.ValueUnset{Key: "n"})
	case 3:
		post(t, log, "z", set("x", value))
	}
}

func client(t testing.TB, url string) *redis.Client {
	t.Helper()
	return patientClient(t, url, 300*time.Millisecond)
}

// patientClient waits that long for an answer, once.
func patientClient(t testing.TB, url string, patience time.Duration) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	options.ReadTimeout, options.WriteTimeout, options.DialTimeout = patience, patience, patience
	options.MaxRetries, options.DialerRetries = -1, 1
	rdb := redis.NewClient(options)
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

// Whatever Redis loses is back within about a heartbeat, with no change posted, and also while changes are.
func TestHealsWhatIsLost(t *testing.T) {
	ctx := context.Background()
	faults := map[string]func(rdb redis.Cmdable) error{
		"everything":    func(rdb redis.Cmdable) error { return rdb.FlushDB(ctx).Err() },
		"a view hash":   func(rdb redis.Cmdable) error { return rdb.Del(ctx, view.HeadKey("a.b")).Err() },
		"values":        func(rdb redis.Cmdable) error { return rdb.Del(ctx, view.ValuesKey("a.b")).Err() },
		"one value":     func(rdb redis.Cmdable) error { return rdb.HDel(ctx, view.ValuesKey("a.b"), "x").Err() },
		"a stream":      func(rdb redis.Cmdable) error { return rdb.Del(ctx, view.ChangesKey("a.b")).Err() },
		"the heartbeat": func(rdb redis.Cmdable) error { return rdb.Del(ctx, view.ProjectorKey).Err() },
		"the scripts":   func(rdb redis.Cmdable) error { return rdb.ScriptFlush(ctx).Err() },
		"a whole view":  func(rdb redis.Cmdable) error { return rdb.Del(ctx, viewKeys("a.b")...).Err() },
		"a view and beat": func(rdb redis.Cmdable) error {
			return rdb.Del(ctx, append(viewKeys("a.b"), view.ProjectorKey)...).Err()
		},
		"view to a string": func(rdb redis.Cmdable) error { return rdb.Set(ctx, view.HeadKey("a.b"), "x", 0).Err() },
		"values to a list": func(rdb redis.Cmdable) error {
			_, err := rdb.TxPipelined(ctx, func(tx redis.Pipeliner) error {
				tx.Del(ctx, view.ValuesKey("a.b"))
				tx.LPush(ctx, view.ValuesKey("a.b"), "x")
				return nil
			})
			return err
		},
		"stream to a string":    func(rdb redis.Cmdable) error { return rdb.Set(ctx, view.ChangesKey("a.b"), "x", 0).Err() },
		"heartbeat to a string": func(rdb redis.Cmdable) error { return rdb.Set(ctx, view.ProjectorKey, "x", 0).Err() },
		"position of a view":    func(rdb redis.Cmdable) error { return rdb.HSet(ctx, view.HeadKey("a.b"), "position", 1).Err() },
		"a view ran ahead":      func(rdb redis.Cmdable) error { return rdb.HSet(ctx, view.HeadKey("a.b"), "position", 1_000_000).Err() },
		"stream ran ahead": func(rdb redis.Cmdable) error {
			return rdb.XAdd(ctx, &redis.XAddArgs{Stream: view.ChangesKey("a.b"), ID: "1000000-*", Values: []string{"foreign", "entry"}}).Err()
		},
	}
	for name, lose := range faults {
		t.Run(name, func(t *testing.T) {
			leakFree(t)
			log := testenv.Log(t)
			_, rdb := testenv.Redis(t)
			running(t, log, rdb, quick)
			plant(t, log)
			equalToLog(t, log, rdb)
			if err := lose(rdb); err != nil {
				t.Fatal(err)
			}
			// A foreign stream, or entries in it, is seen when the next entry does not fit; the others by a heartbeat.
			if strings.HasPrefix(name, "stream") {
				post(t, log, "a.b", set("x", "100"))
			}
			equalToLog(t, log, rdb)
			for i := range 30 {
				if i%10 == 5 {
					if err := lose(rdb); err != nil {
						t.Fatal(err)
					}
				}
				change(t, log, i)
			}
			post(t, log, "a.b", set("x", "101"))
			equalToLog(t, log, rdb)
		})
	}
}

// A reader that loads while views are lost and rebuilt sees all keys or an error, never some.
func TestReadersNeverSeeAKeyVanish(t *testing.T) {
	ctx := context.Background()
	log := testenv.Log(t)
	_, rdb := testenv.Redis(t)
	running(t, log, rdb, quick)
	const keys = 3_000 // more than are staged at once
	post(t, log, "a", created())
	for i := 0; i < keys; i += 1_000 {
		var evs []events.Event
		for j := range 1_000 {
			evs = append(evs, set(key(i+j), "1"))
		}
		post(t, log, "a", evs...)
	}
	equalToLog(t, log, rdb)

	done := make(chan struct{})
	var wg sync.WaitGroup
	loads, failed := 0, 0
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			n := 0
			_, err := view.Load(ctx, rdb, "a", func(events.Key, view.Entry) error { n++; return nil })
			loads++
			if err != nil {
				failed++
			} else if n != keys {
				t.Errorf("a reader saw %d keys, want %d or an error", n, keys)
				return
			}
		}
	})
	for i := range 30 {
		lose := []string{view.ValuesKey("a"), view.HeadKey("a")}[i%2]
		if err := rdb.Del(ctx, lose).Err(); err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			post(t, log, "a", set(key(i), "2"))
		}
		equalToLog(t, log, rdb)
	}
	close(done)
	wg.Wait()
	if failed == 0 || failed == loads {
		t.Errorf("%d of %d loads failed: the test did not hit both states", failed, loads)
	}
}

func TestRedisIsKilledAndComesBack(t *testing.T) {
	for name, saved := range map[string]bool{"empty": false, "with an old dump": true} {
		t.Run(name, func(t *testing.T) {
			leakFree(t)
			ctx := context.Background()
			log := testenv.Log(t)
			server := testenv.RedisServer(t)
			rdb := client(t, server.URL)
			p, _ := running(t, log, rdb, quick)
			plant(t, log)
			equalToLog(t, log, rdb)
			if saved {
				if err := rdb.Save(ctx).Err(); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 20 {
				change(t, log, i)
			}
			equalToLog(t, log, rdb)
			server.Kill()
			change(t, log, 20)
			testenv.Eventually(t, "status says that redis is gone", func() bool { return p.Status().Err != nil })
			for i := range 20 {
				change(t, log, i)
			}
			server.Start()
			equalToLog(t, log, rdb)
			testenv.Eventually(t, "status has recovered", func() bool { return p.Status().Err == nil })
		})
	}
}

func TestRedisRefusesForAWhile(t *testing.T) {
	ctx := context.Background()
	for name, setting := range map[string][3]string{
		"out of memory":    {"maxmemory", "1", "0"},
		"no more replicas": {"min-replicas-to-write", "1", "0"}, // NOREPLICAS
	} {
		t.Run(name, func(t *testing.T) {
			log := testenv.Log(t)
			rdb := client(t, testenv.RedisServer(t).URL)
			p, _ := running(t, log, rdb, quick)
			plant(t, log)
			equalToLog(t, log, rdb)
			if err := rdb.ConfigSet(ctx, setting[0], setting[1]).Err(); err != nil {
				t.Fatal(err)
			}
			for i := range 8 {
				change(t, log, i)
			}
			testenv.Eventually(t, "status says why", func() bool { return p.Status().Err != nil })
			if err := rdb.ConfigSet(ctx, setting[0], setting[2]).Err(); err != nil {
				t.Fatal(err)
			}
			equalToLog(t, log, rdb)
		})
	}
}

func TestRedisBecomesAReplica(t *testing.T) {
	ctx := context.Background()
	log := testenv.Log(t)
	rdb := client(t, testenv.RedisServer(t).URL)
	p, _ := running(t, log, rdb, quick)
	plant(t, log)
	equalToLog(t, log, rdb)
	if err := rdb.ReplicaOf(ctx, "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	change(t, log, 1)
	testenv.Eventually(t, "status says why", func() bool { return p.Status().Err != nil })
	if err := rdb.ReplicaOf(ctx, "NO", "ONE").Err(); err != nil {
		t.Fatal(err)
	}
	equalToLog(t, log, rdb)
}

// A Redis that hangs holds up the end of Run no longer than one of the client's timeouts.
func TestRedisHangs(t *testing.T) {
	leakFree(t)
	log := testenv.Log(t)
	server := testenv.RedisServer(t)
	const patience = 3 * time.Second
	rdb := patientClient(t, server.URL, patience)
	p, stop := running(t, log, rdb, quick)
	plant(t, log)
	equalToLog(t, log, rdb)

	server.Stop()
	change(t, log, 1)
	testenv.Eventually(t, "status says that redis hangs", func() bool { return p.Status().Err != nil })
	began := time.Now()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > patience*3/2 {
		t.Errorf("Run ended after %v, with a client that waits for %v", took, patience)
	}
	server.Continue()
	running(t, log, rdb, quick)
	equalToLog(t, log, rdb)
}

// A heartbeat that is gone makes the projector look at all views at once, however many there are, before it beats again.
func TestBeatNoticesALoss(t *testing.T) {
	ctx := context.Background()
	log := testenv.Log(t)
	_, rdb := testenv.Redis(t)
	plant(t, log)
	s := newSession(New(log, rdb, quick), 1)
	if err := s.start(ctx); err != nil {
		t.Fatal(err)
	}
	if err := rdb.FlushDB(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.beat(ctx); err != nil {
		t.Fatal(err)
	}
	if err := compare(log, rdb); err != nil {
		t.Error(err)
	}
}

// The projector is stopped anywhere in a load of changes, again and again.
func TestRestartedInALoad(t *testing.T) {
	leakFree(t)
	log := testenv.Log(t)
	_, rdb := testenv.Redis(t)
	plant(t, log)
	var load sync.WaitGroup
	load.Go(func() {
		for i := range 400 {
			change(t, log, i)
		}
	})
	for range 8 {
		_, stop := running(t, log, rdb, quick)
		at, err := log.Head(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		projected(t, rdb, at.Position)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
	load.Wait()
	running(t, log, rdb, quick)
	equalToLog(t, log, rdb)
}

// A failover kept the heartbeat and lost the last steps of a view, while no projector was there to notice.
func TestViewIsOlderThanTheHeartbeat(t *testing.T) {
	ctx := context.Background()
	for name, last := range map[string]func(t *testing.T, log *eventlog.Log){
		"own change, no trace": func(t *testing.T, log *eventlog.Log) {
			post(t, log, "a.b", events.KeyDefined{Key: "bare", Definition: events.Definition{Kind: events.Int}})
		},
		"own change":             func(t *testing.T, log *eventlog.Log) { post(t, log, "a.b", set("x", "9")) },
		"change above":           func(t *testing.T, log *eventlog.Log) { post(t, log, "a", set("y", "9")) },
		"value gone above":       func(t *testing.T, log *eventlog.Log) { post(t, log, "a", events.ValueUnset{Key: "y"}) },
		"change above, no trace": func(t *testing.T, log *eventlog.Log) { post(t, log, "a", set("x", "9")) },
	} {
		t.Run(name, func(t *testing.T) {
			log := testenv.Log(t)
			_, rdb := testenv.Redis(t)
			_, stop := running(t, log, rdb, quick)
			plant(t, log)
			equalToLog(t, log, rdb)
			dumps := map[string]string{}
			for _, key := range viewKeys("a.b") {
				dumps[key] = rdb.Dump(ctx, key).Val()
			}
			last(t, log)
			equalToLog(t, log, rdb)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			for key, dump := range dumps {
				if err := rdb.RestoreReplace(ctx, key, 0, dump).Err(); err != nil {
					t.Fatal(err)
				}
			}
			running(t, log, rdb, quick)
			equalToLog(t, log, rdb)
		})
	}
}

// Leftovers of a projector that crashed while it built a view do not stay, and do not show.
func TestLeftoversExpire(t *testing.T) {
	ctx := context.Background()
	_, rdb := testenv.Redis(t)
	p := New(nil, rdb, quick)
	building := view.ValuesKey("a") + ":building:1-1"
	if _, err := p.store.run(ctx, []call{{script: stage, keys: []string{building}, args: []any{stageSeconds, "k", "{}"}}}); err != nil {
		t.Fatal(err)
	}
	if ttl := rdb.TTL(ctx, building).Val(); ttl <= 0 || ttl > stageSeconds*time.Second {
		t.Errorf("what is being built lives for %v", ttl)
	}
}

// A projector that compares a view and finds an entry that is not of its form puts the view in place anew.
func TestEntryOfNoForm(t *testing.T) {
	t.Parallel()
	log := testenv.Log(t)
	_, rdb := testenv.Redis(t)
	_, stop := running(t, log, rdb, quick)
	plant(t, log)
	change(t, log, 0) // in a, not seen in a.b: positions do not tell whether that misses something
	equalToLog(t, log, rdb)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if err := rdb.HSet(context.Background(), view.ValuesKey("a.b"), "x", "{").Err(); err != nil {
		t.Fatal(err)
	}
	running(t, log, rdb, quick)
	equalToLog(t, log, rdb)
}
