package projections

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

func check(t testing.TB, log *eventlog.Log, rdb redis.UniversalClient) Checked {
	t.Helper()
	c, err := Check(context.Background(), log, rdb, func(at, end events.Position) {})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Whatever is wrong in Redis is found, with no projector there that would put it right, and nothing is written.
func TestCheck(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	log := logOfNewEpoch(t)
	_, rdb := testenv.Redis(t)
	_, stop := running(t, log, rdb, quick)
	plant(t, log)
	for i := range 8 {
		change(t, log, i)
	}
	equalToLog(t, log, rdb)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	end := headOf(t, log).Position
	if diff := cmp.Diff(Checked{Position: end, Views: 4, Keys: 12, Differences: []Difference{}}, check(t, log, rdb)); diff != "" {
		t.Fatalf("views that are right (-want +got):\n%s", diff)
	}
	entry := string(view.EncodeEntry(view.Entry{Value: "4711", Kind: events.Int, Revision: 1, Position: 1, From: "a"}))
	epoch := "00000000-0000-4000-8000-000000000000"
	for name, fault := range map[string]struct {
		do   func(tx redis.Pipeliner)
		want []string // parts of the texts, in order
	}{
		"another value": {func(tx redis.Pipeliner) { tx.HSet(ctx, view.ValuesKey("a.b"), "x", entry) }, []string{"a.b/x has another value"}},
		"a key more": {func(tx redis.Pipeliner) {
			tx.HSet(ctx, view.ValuesKey("a.b"), "more", entry)
			tx.HIncrBy(ctx, view.HeadKey("a.b"), "keys", 1)
		}, []string{"a.b/more has no value in the log"}},
		"a key less": {func(tx redis.Pipeliner) {
			tx.HDel(ctx, view.ValuesKey("a.b"), "x")
			tx.HIncrBy(ctx, view.HeadKey("a.b"), "keys", -1)
		}, []string{"a.b/x is not in the view"}},
		"a key lost":          {func(tx redis.Pipeliner) { tx.HDel(ctx, view.ValuesKey("a.b"), "x") }, []string{"a.b/ the view is not whole"}},
		"an entry of no form": {func(tx redis.Pipeliner) { tx.HSet(ctx, view.ValuesKey("a.b"), "x", "{") }, []string{"a.b/ the view is not whole"}},
		"view lost":           {func(tx redis.Pipeliner) { tx.Del(ctx, view.HeadKey("a.b")) }, []string{"a.b/ there is no view"}},
		"view to a string":    {func(tx redis.Pipeliner) { tx.Set(ctx, view.HeadKey("a.b"), "x", 0) }, []string{"a.b/ the view is not whole"}},
		"older position":      {func(tx redis.Pipeliner) { tx.HSet(ctx, view.HeadKey("z"), "position", 1) }, []string{"z/ the view is at position 1"}},
		"beyond the log":      {func(tx redis.Pipeliner) { tx.HSet(ctx, view.HeadKey("z"), "position", 1000) }, []string{"z/ the view is at position 1000, beyond"}},
		"other revision":      {func(tx redis.Pipeliner) { tx.HSet(ctx, view.HeadKey("z"), "revision", 1) }, []string{"z/ the view is at position"}},
		"other history":       {func(tx redis.Pipeliner) { tx.HSet(ctx, view.HeadKey("z"), "epoch", epoch) }, []string{"z/ the view is of history " + epoch}},
		"no heartbeat":        {func(tx redis.Pipeliner) { tx.Del(ctx, view.ProjectorKey) }, []string{"/ there is no heartbeat"}},
		"heartbeat elsewhere": {func(tx redis.Pipeliner) { tx.HSet(ctx, view.ProjectorKey, "epoch", epoch) }, []string{"/ the projector's heartbeat is of history " + epoch}},
		"heartbeat beyond":    {func(tx redis.Pipeliner) { tx.HSet(ctx, view.ProjectorKey, "position", 1000) }, []string{"/ the projector's heartbeat is at 1000, beyond"}},
		"unknown namespace":   {func(tx redis.Pipeliner) { tx.HSet(ctx, view.HeadKey("ghost"), "epoch", epoch) }, []string{"ghost/ the log has no such namespace"}},
		"two things at a time": {func(tx redis.Pipeliner) {
			tx.HSet(ctx, view.ValuesKey("z"), "x", entry)
			tx.Del(ctx, view.HeadKey("a"))
		}, []string{"a/ there is no view", "z/x has another value"}},
	} {
		t.Run(name, func(t *testing.T) {
			dumps := map[string]string{}
			for _, key := range rdb.Keys(ctx, "*").Val() {
				dumps[key] = rdb.Dump(ctx, key).Val()
			}
			if _, err := rdb.TxPipelined(ctx, func(tx redis.Pipeliner) error { fault.do(tx); return nil }); err != nil {
				t.Fatal(err)
			}
			before := contents(t, rdb)
			got := check(t, log, rdb)
			if diff := cmp.Diff(before, contents(t, rdb)); diff != "" {
				t.Errorf("the check writes:\n%s", diff)
			}
			if len(got.Differences) != len(fault.want) {
				t.Errorf("got %+v, want %q", got.Differences, fault.want)
			}
			for i, d := range got.Differences {
				text := fmt.Sprintf("%s/%s %s", d.Namespace, d.Key, d.Detail)
				if i < len(fault.want) && !strings.HasPrefix(text, fault.want[i]) || strings.Contains(text, "4711") {
					t.Errorf("got %q, want %q", text, fault.want)
				}
			}
			rdb.FlushDB(ctx)
			for key, dump := range dumps {
				rdb.Restore(ctx, key, 0, dump)
			}
			if after := check(t, log, rdb); len(after.Differences) > 0 {
				t.Fatalf("not put back: %+v", after)
			}
		})
	}
}

// logOfNewEpoch returns a log that begins with an event about itself.
func logOfNewEpoch(t *testing.T) *eventlog.Log {
	t.Helper()
	owner, app := testenv.Database(t)
	var logs []*eventlog.Log
	for _, url := range []string{owner, app} {
		log, err := eventlog.Open(t.Context(), eventlog.Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(log.Close)
		logs = append(logs, log)
	}
	if _, _, err := logs[0].BeginEpoch(t.Context(), "ann", "restored a backup"); err != nil {
		t.Fatal(err)
	}
	return logs[1]
}

// While changes flow all over the tree, no check finds a difference.
func TestCheckDuringChanges(t *testing.T) {
	t.Parallel()
	log := testenv.Log(t)
	_, rdb := testenv.Redis(t)
	running(t, log, rdb, quick)
	plant(t, log)
	equalToLog(t, log, rdb)
	done := make(chan struct{})
	var changes sync.WaitGroup
	defer changes.Wait()
	defer close(done)
	changes.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
				change(t, log, i)
			}
			if i%50 == 0 {
				post(t, log, events.Namespace(fmt.Sprintf("z.new-%d", i)), created(), set("x", "1"))
			}
		}
	})
	for last, ahead := events.Position(0), 0; ahead < 10; {
		got := check(t, log, rdb)
		if len(got.Differences) > 0 {
			t.Fatalf("at %d: %+v", got.Position, got.Differences)
		}
		if got.Position > last {
			last, ahead = got.Position, ahead+1
		}
	}
}

// Views of a tree that are later than the heartbeat, all at one position, cost one load of it.
func TestCheckLoadsATreeOnce(t *testing.T) {
	t.Parallel()
	log, conn := openBoth(t)
	plant(t, log)
	head := headOf(t, log)
	c := checking{log: log, epoch: head.Epoch, Checked: Checked{Position: 1}}
	x := func(ns events.Namespace, at events.Position) events.Value {
		t.Helper()
		tree, err := c.tree(t.Context(), ns, view.Head{Epoch: head.Epoch, Position: at})
		if err != nil {
			t.Fatal(err)
		}
		for key, e := range tree.Entries(ns) {
			if key == "x" {
				return e.Value
			}
		}
		return ""
	}
	if got := x("a.b", head.Position); got != "2" {
		t.Fatalf("got %s", got)
	}
	execute(t, conn, `ALTER TABLE events DISABLE TRIGGER events_are_facts`) // a load that follows is told apart
	execute(t, conn, `UPDATE events SET data = '{"value":5}' WHERE type = 'value.set.v1' AND key = 'x'`)
	for _, step := range []struct {
		ns   events.Namespace
		at   events.Position
		want events.Value
	}{
		{"a.b.c", head.Position, "2"}, {"a", head.Position, "1"}, {"z", head.Position, "5"}, {"a", head.Position - 1, "5"}, {"a.b", head.Position, "5"},
	} {
		if got := x(step.ns, step.at); got != step.want {
			t.Errorf("%s at %d: got %s, want %s", step.ns, step.at, got, step.want)
		}
	}
}

func TestCheckOfUnknownEvent(t *testing.T) {
	t.Parallel()
	log, conn := openBoth(t)
	_, rdb := testenv.Redis(t)
	plant(t, log)
	execute(t, conn, `INSERT INTO events SELECT position + 1, 'a', 2, 'value.frozen.v1', NULL, '{}', 'eve', '', at FROM head`)
	execute(t, conn, `UPDATE head SET position = position + 1`)
	_, err := Check(context.Background(), log, rdb, func(at, end events.Position) {})
	if _, unknown := errors.AsType[*events.UnknownTypeError](err); !unknown {
		t.Errorf("got %v, want an unknown type", err)
	}
}
