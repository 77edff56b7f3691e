package projections

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/devservers"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// applied is a call of apply on namespace a that sets k and deletes gone.
func applied(t *testing.T, epoch string, term int64, position, prev events.Position) call {
	t.Helper()
	entry := view.Entry{Value: "1", Kind: events.Int, Revision: 1, Position: position, From: "a"}
	fields, err := view.StreamFields(view.ChangeSet{Epoch: epoch, Term: term, Namespace: "a", Position: position, Prev: prev,
		Revision: 1, Origin: "a", OriginRevision: 1, Changes: []view.Change{{Key: "gone"}, {Key: "k", Entry: &entry}}})
	if err != nil {
		t.Fatal(err)
	}
	args := append([]any{epoch, term, int64(position), int64(prev), 1, stamp(time.Now()), 100, 1}, fields...)
	return call{script: apply, ns: "a", keys: viewKeys("a"), args: append(args, "k", view.EncodeEntry(entry), "gone")}
}

// Epochs that were declared, in order; any other is before them.
const (
	earlier = "0193e0b5-7d0a-7c3e-9d2b-0c5f5d1f6a11"
	later   = "0193e0b5-7d0b-7000-8000-000000000000"
)

// A projector of an earlier epoch is refused by every script, whatever its term; one of a later epoch by none.
func TestEpochsInOrder(t *testing.T) {
	servers := map[string]func(t *testing.T) *redis.Client{
		"redis":     func(t *testing.T) *redis.Client { _, rdb := testenv.Redis(t); return rdb },
		"miniredis": miniRedis,
	}
	for server, start := range servers {
		t.Run(server, func(t *testing.T) {
			for _, epochs := range [][2]string{{"e", earlier}, {earlier, later}, {"f0000000-0000-4000-8000-000000000000", earlier}} {
				rdb := start(t)
				p := New(nil, rdb, quick)
				if got := outcomeOf(t, p, applied(t, epochs[1], 1, 10, 0)); got != ok {
					t.Fatalf("the later one writes: %s", got)
				}
				beats := func(epoch string, term int64) call {
					return call{script: beat, keys: []string{view.ProjectorKey}, args: []any{epoch, term, 10, 10, stamp(time.Now()), -1}}
				}
				if got := outcomeOf(t, p, beats(epochs[1], 1)); got != ok {
					t.Fatalf("the later one beats: %s", got)
				}
				if err := rdb.HSet(t.Context(), "building", "k", "v").Err(); err != nil {
					t.Fatal(err)
				}
				before := snapshot(t, rdb)
				replaced := applied(t, epochs[0], 9, 11, 10).args[8:14]
				for name, late := range map[string]call{
					"apply":   applied(t, epochs[0], 9, 11, 10),
					"again":   applied(t, epochs[0], 9, 10, 0),
					"beat":    beats(epochs[0], 9),
					"drop":    {script: drop, ns: "a", keys: viewKeys("a"), args: []any{epochs[0], 9}},
					"replace": {script: replace, ns: "a", keys: append(viewKeys("a"), "building"), args: append([]any{epochs[0], 9, 11, 1, stamp(time.Now()), 100, 1}, replaced...)},
				} {
					if got := outcomeOf(t, p, late); got != past {
						t.Errorf("%s of %s after %s: got %s, want %s", name, epochs[0], epochs[1], got, past)
					}
				}
				if diff := cmp.Diff(before, snapshot(t, rdb)); diff != "" {
					t.Errorf("refused, yet it changed:\n%s", diff)
				}
				if beat, err := view.LoadHeartbeat(t.Context(), rdb); err != nil || beat.Epoch != epochs[1] {
					t.Errorf("heartbeat %+v, %v", beat, err)
				}
				if got := outcomeOf(t, p, beats("0193e0b5-ffff-7000-8000-000000000000", 1)); got != ok {
					t.Errorf("a still later one: got %s", got)
				}
			}
		})
	}
}

// The order of apply's checks, on Redis and on miniredis.
func TestApply(t *testing.T) {
	ctx := context.Background()
	servers := map[string]func(t *testing.T) *redis.Client{
		"redis":     func(t *testing.T) *redis.Client { _, rdb := testenv.Redis(t); return rdb },
		"miniredis": miniRedis,
	}
	for server, start := range servers {
		t.Run(server, func(t *testing.T) {
			for name, test := range map[string]struct {
				spoil    func(rdb *redis.Client) error
				epoch    string
				term     int64
				position events.Position
				prev     events.Position
				want     outcome
			}{
				"next":                    {epoch: "e", term: 2, position: 11, prev: 10, want: ok},
				"next, by a newer term":   {epoch: "e", term: 3, position: 11, prev: 10, want: ok},
				"next, by an older term":  {epoch: "e", term: 1, position: 11, prev: 10, want: fenced},
				"again":                   {epoch: "e", term: 2, position: 10, prev: 5, want: done},
				"again, by an older term": {epoch: "e", term: 1, position: 10, prev: 5, want: fenced},
				"earlier":                 {epoch: "e", term: 2, position: 4, prev: 3, want: done},
				"after a gap":             {epoch: "e", term: 2, position: 12, prev: 11, want: gap},
				"on a shorter one":        {epoch: "e", term: 2, position: 12, prev: 9, want: gap},
				"other epoch":             {epoch: "f", term: 2, position: 11, prev: 10, want: wrong},
				"other epoch, older term": {epoch: "f", term: 1, position: 11, prev: 10, want: wrong},
				"later epoch":             {epoch: later, term: 1, position: 11, prev: 10, want: wrong},
				"first on an absent view": {epoch: "e", term: 2, position: 11, prev: 0, want: ok,
					spoil: func(rdb *redis.Client) error { return rdb.FlushDB(ctx).Err() }},
				"next on an absent view": {epoch: "e", term: 2, position: 11, prev: 10, want: gap,
					spoil: func(rdb *redis.Client) error { return rdb.FlushDB(ctx).Err() }},
				"first on left values": {epoch: "e", term: 2, position: 11, prev: 0, want: gap,
					spoil: func(rdb *redis.Client) error { return rdb.Del(ctx, view.HeadKey("a")).Err() }},
				"next on lost values": {epoch: "e", term: 2, position: 11, prev: 10, want: gap,
					spoil: func(rdb *redis.Client) error { return rdb.Del(ctx, view.ValuesKey("a")).Err() }},
				"again on lost values": {epoch: "e", term: 2, position: 10, prev: 5, want: gap,
					spoil: func(rdb *redis.Client) error { return rdb.Del(ctx, view.ValuesKey("a")).Err() }},
				"next, stream is ahead": {epoch: "e", term: 2, position: 11, prev: 10, want: gap,
					spoil: func(rdb *redis.Client) error {
						return rdb.XAdd(ctx, &redis.XAddArgs{Stream: view.ChangesKey("a"), ID: "11-0", Values: []string{"x", "y"}}).Err()
					}},
				"next, values of another type": {epoch: "e", term: 2, position: 11, prev: 10, want: gap,
					spoil: func(rdb *redis.Client) error { return rdb.Set(ctx, view.ValuesKey("a"), "x", 0).Err() }},
			} {
				t.Run(name, func(t *testing.T) {
					rdb := start(t)
					p := New(nil, rdb, quick)
					if got := outcomeOf(t, p, applied(t, "e", 2, 10, 0)); got != ok {
						t.Fatalf("the first change set: %s", got)
					}
					if test.spoil != nil {
						if err := test.spoil(rdb); err != nil {
							t.Fatal(err)
						}
					}
					before := snapshot(t, rdb)
					if got := outcomeOf(t, p, applied(t, test.epoch, test.term, test.position, test.prev)); got != test.want {
						t.Fatalf("got %s, want %s", got, test.want)
					}
					if test.want == ok {
						if got := rdb.HGet(ctx, view.HeadKey("a"), "position").Val(); got != "11" {
							t.Errorf("the view is at %s, want 11", got)
						}
						return
					}
					if diff := cmp.Diff(before, snapshot(t, rdb)); diff != "" {
						t.Errorf("%s, yet it changed:\n%s", test.want, diff)
					}
				})
			}
		})
	}
}

// A repeated step hands the view over to the newer term, so that the older one is fenced from then on.
func TestApplyAgainTakesTheTermOver(t *testing.T) {
	_, rdb := testenv.Redis(t)
	p := New(nil, rdb, quick)
	for _, step := range []struct {
		call
		want outcome
	}{
		{applied(t, "e", 2, 10, 0), ok},
		{applied(t, "e", 3, 10, 0), done},
		{applied(t, "e", 2, 11, 10), fenced},
		{applied(t, "e", 3, 11, 10), ok},
	} {
		if got := outcomeOf(t, p, step.call); got != step.want {
			t.Fatalf("got %s, want %s", got, step.want)
		}
	}
}

func outcomeOf(t *testing.T, p *Projector, c call) outcome {
	t.Helper()
	outcomes, err := p.store.run(context.Background(), []call{c})
	if err != nil {
		t.Fatal(err)
	}
	return outcomes[0]
}

// snapshot is what a reader can see of namespace a.
func snapshot(t *testing.T, rdb *redis.Client) []any {
	t.Helper()
	ctx := context.Background()
	return []any{rdb.Type(ctx, view.ValuesKey("a")).Val(), rdb.HGetAll(ctx, view.ValuesKey("a")).Val(),
		rdb.HGetAll(ctx, view.HeadKey("a")).Val(), rdb.XRange(ctx, view.ChangesKey("a"), "-", "+").Val()}
}

func miniRedis(t *testing.T) *redis.Client {
	t.Helper()
	server, err := devservers.StartRedis(context.Background(), devservers.RedisConfig{InProcess: true, Logger: quick.Logger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return client(t, server.URL)
}

// A whole projector on miniredis, which stands in for Redis where none is installed.
func TestMiniredis(t *testing.T) {
	log := testenv.Log(t)
	rdb := miniRedis(t)
	running(t, log, rdb, quick)
	plant(t, log)
	for i := range 20 {
		change(t, log, i)
	}
	equalToLog(t, log, rdb)
	if err := rdb.FlushAll(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
	equalToLog(t, log, rdb)
	change(t, log, 2)
	equalToLog(t, log, rdb)
}
