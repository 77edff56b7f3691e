package projections

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// contents is all that Redis holds, but for heartbeats.
func contents(t testing.TB, rdb *redis.Client) map[string]string {
	t.Helper()
	ctx := context.Background()
	keys, err := rdb.Keys(ctx, "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, key := range keys {
		if key != view.ProjectorKey {
			all[key] = rdb.Dump(ctx, key).Val()
		}
	}
	return all
}

// A projector that was stopped while it led, and goes on when another leads: all that it still writes is refused.
func TestFormerLeaderIsFenced(t *testing.T) {
	ctx := context.Background()
	for name, late := range map[string]func(s *session) error{
		"steps": func(s *session) error { return s.flush(ctx) },
		"view":  func(s *session) error { return s.rebuild(ctx, map[events.Namespace]bool{"a.b": true}) },
		"beat":  func(s *session) error { return s.beat(ctx) },
		"looks": func(s *session) error { return s.lookAtSome(ctx) },
		"drop": func(s *session) error {
			s.names = slices.DeleteFunc(s.names, func(ns events.Namespace) bool { return ns == "a.b" }) // listed too early
			delete(s.listed, "a.b")
			return s.dropUnknown(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			log := testenv.Log(t)
			_, rdb := testenv.Redis(t)
			plant(t, log)
			former := newSession(New(log, rdb, quick), 1)
			if err := former.start(ctx); err != nil {
				t.Fatal(err)
			}
			post(t, log, "a.b", set("x", "4"))
			evs, err := log.Read(ctx, eventlog.Query{After: former.position})
			if err != nil {
				t.Fatal(err)
			}
			if err := former.fold(ctx, evs); err != nil { // its step is ready, and not sent
				t.Fatal(err)
			}

			newer := newSession(New(log, rdb, quick), 2)
			if err := newer.start(ctx); err != nil {
				t.Fatal(err)
			}
			post(t, log, "a.b", set("x", "5"))
			head, err := log.Head(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if evs, err = log.Read(ctx, eventlog.Query{After: newer.position}); err != nil {
				t.Fatal(err)
			}
			if err := newer.project(ctx, evs, head); err != nil {
				t.Fatal(err)
			}
			if err := newer.beat(ctx); err != nil {
				t.Fatal(err)
			}
			before := contents(t, rdb)
			if err := late(former); !errors.Is(err, errFenced) {
				t.Errorf("got %v, want %v", err, errFenced)
			}
			if diff := cmp.Diff(before, contents(t, rdb)); diff != "" {
				t.Errorf("the former leader has changed redis:\n%s", diff)
			}
			equalToLog(t, log, rdb)
		})
	}
}

// A fenced leader stands by, and leads again when it is elected again.
func TestFencedLeaderStandsBy(t *testing.T) {
	ctx := context.Background()
	log := testenv.Log(t)
	_, rdb := testenv.Redis(t)
	p, _ := running(t, log, rdb, quick)
	plant(t, log)
	equalToLog(t, log, rdb)
	if err := rdb.HSet(ctx, view.ProjectorKey, "term", 3).Err(); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "it leads in a newer term", func() bool { s := p.Status(); return s.Active && s.Term >= 3 })
	change(t, log, 1)
	equalToLog(t, log, rdb)
}

// A leader that stepped down says why, and is well again while another leads: its health check must not have it restarted
// for ever.
func TestFormerLeaderIsWell(t *testing.T) {
	ctx := context.Background()
	log, owner := openBoth(t)
	_, rdb := testenv.Redis(t)
	p, _ := running(t, log, rdb, Config{Heartbeat: 500 * time.Millisecond, Logger: quick.Logger})
	projected(t, rdb, 0) // it leads, and has written its heartbeat

	second, err := pgx.ConnectConfig(ctx, owner.Config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { second.Close(ctx) })
	elected := make(chan error, 1)
	go func() {
		_, err := owner.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(0x686F6C64_6C656164)) // as the next leader does
		elected <- err
	}()
	testenv.Eventually(t, "another waits for the lock", func() bool {
		var waits bool
		err := second.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND NOT granted)", owner.PgConn().PID()).Scan(&waits)
		return err == nil && waits
	})
	if err := rdb.HSet(ctx, view.ProjectorKey, "term", 3).Err(); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "it says why it stepped down", func() bool { return errors.Is(p.Status().Err, errFenced) })
	if err := <-elected; err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "it stands by and is well", func() bool { s := p.Status(); return !s.Active && s.Err == nil })
}

// openBoth opens a log on a database whose owner's connection is returned too.
func openBoth(t *testing.T) (*eventlog.Log, *pgx.Conn) {
	t.Helper()
	ctx := context.Background()
	owner, app := testenv.Database(t)
	conn, err := pgx.Connect(ctx, owner)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(ctx) })
	log, err := eventlog.Open(ctx, eventlog.Config{URL: app, Logger: quick.Logger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	return log, conn
}

func execute(t *testing.T, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(context.Background(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// The log becomes another: all views follow it, though its terms start again, and what it does not know goes.
func TestEpochChanges(t *testing.T) {
	ctx := context.Background()
	for name, runs := range map[string]bool{"while it runs": true, "while it does not": false} {
		t.Run(name, func(t *testing.T) {
			leakFree(t)
			log, owner := openBoth(t)
			_, rdb := testenv.Redis(t)
			execute(t, owner, `UPDATE term SET term = 10`)
			_, stop := running(t, log, rdb, quick)
			plant(t, log)
			equalToLog(t, log, rdb)
			if !runs {
				if err := stop(); err != nil {
					t.Fatal(err)
				}
			}
			// A view that the new history has not.
			fields := rdb.HGetAll(ctx, view.HeadKey("z")).Val()
			fields["keys"] = "0"
			if err := rdb.HSet(ctx, view.HeadKey("gone"), fields).Err(); err != nil {
				t.Fatal(err)
			}
			execute(t, owner, `UPDATE term SET term = 0`)
			execute(t, owner, `UPDATE head SET epoch = gen_random_uuid()`)
			if !runs {
				running(t, log, rdb, quick)
			}
			equalToLog(t, log, rdb)
			change(t, log, 1)
			change(t, log, 2)
			equalToLog(t, log, rdb)
		})
	}
}

// Another log than the one that is in Redis, shorter or longer.
func TestAnotherLogWithTheSameRedis(t *testing.T) {
	for name, changes := range map[string]int{"shorter": 0, "longer": 60} {
		t.Run(name, func(t *testing.T) {
			_, rdb := testenv.Redis(t)
			former := testenv.Log(t)
			_, stop := running(t, former, rdb, quick)
			plant(t, former)
			for i := range 20 {
				change(t, former, i)
			}
			equalToLog(t, former, rdb)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			other := testenv.Log(t)
			post(t, other, "a", created(), set("x", "7"))
			for i := range changes {
				post(t, other, "a", set("x", events.Value(fmt.Sprint(i))))
			}
			running(t, other, rdb, quick)
			equalToLog(t, other, rdb)
			post(t, other, "a", set("x", "8"))
			equalToLog(t, other, rdb)
		})
	}
}

// It projects all that is before an event that it does not know, and then says so, whatever Redis held.
func TestUnknownEventType(t *testing.T) {
	ctx := context.Background()
	for name, empty := range map[string]bool{"views are there": false, "redis is empty": true} {
		t.Run(name, func(t *testing.T) {
			leakFree(t)
			log, owner := openBoth(t)
			_, rdb := testenv.Redis(t)
			plant(t, log)
			if !empty {
				_, stop := running(t, log, rdb, quick)
				equalToLog(t, log, rdb)
				if err := stop(); err != nil {
					t.Fatal(err)
				}
			}
			last := post(t, log, "a.b", set("x", "7"))
			execute(t, owner, `
				INSERT INTO events (position, namespace, revision, type, key, data, actor, reason, at)
				VALUES ($1, 'a', 2, 'value.frozen.v1', 'x', '{}', 'bob', '', now())`, last.Position+1)
			execute(t, owner, `UPDATE head SET position = position + 1`)

			err := New(log, rdb, quick).Run(ctx)
			var unknown *events.UnknownTypeError
			if !errors.As(err, &unknown) || unknown.Type != "value.frozen.v1" {
				t.Fatalf("got %v, want an unknown type", err)
			}
			for _, part := range []string{fmt.Sprintf("after position %d", last.Position), "value.frozen.v1", "upgrade"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
			tree, err := log.Load(ctx, "a", last.Position)
			if err != nil {
				t.Fatal(err)
			}
			head, err := log.Head(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, ns := range []events.Namespace{"a", "a.b", "a.b.c"} {
				if err := compareView(rdb, head, tree, ns); err != nil {
					t.Errorf("%s: %v", ns, err)
				}
			}
			beat, err := view.LoadHeartbeat(ctx, rdb)
			if err != nil || beat.Position > last.Position {
				t.Errorf("heartbeat %+v, %v: it is beyond what is projected", beat, err)
			}
		})
	}
}
