package view_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

const ns events.Namespace = "payments.prod"

var entries = map[events.Key]view.Entry{
	"db.max_conns": {Value: "20", Kind: events.Int, Revision: 12, Position: 345, From: "payments"},
	"name":         {Value: `"é"`, Kind: events.String, Revision: 2, Position: 4, From: "default", Sensitive: true},
}

// viewHash is the view hash as any language may read it.
func viewHash(t testing.TB) map[string]string {
	t.Helper()
	data, err := os.ReadFile("testdata/view-hash.json")
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]string
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Fatal(err)
	}
	return fields
}

var head = view.Head{
	Epoch: "0b6c1d0e-9d5f-4c37-8f0f-5d3f3a0c7c11", Term: 3, Position: 345, Revision: 7, Keys: 2,
	UpdatedAt: time.Date(2026, 2, 3, 4, 5, 6, 789000, time.UTC), Replay: "A7",
}

func put(t testing.TB, rdb redis.UniversalClient) {
	t.Helper()
	ctx := context.Background()
	for key, e := range entries {
		if err := rdb.HSet(ctx, "holdfast:{payments.prod}:values", string(key), view.EncodeEntry(e)).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := rdb.HSet(ctx, "holdfast:{payments.prod}:view", viewHash(t)).Err(); err != nil {
		t.Fatal(err)
	}
}

func load(rdb redis.UniversalClient) (view.Head, map[events.Key]view.Entry, error) {
	all := map[events.Key]view.Entry{}
	h, err := view.Load(context.Background(), rdb, ns, func(key events.Key, e view.Entry) error {
		all[key] = e
		return nil
	})
	return h, all, err
}

func TestLoad(t *testing.T) {
	_, rdb := testenv.Redis(t)
	put(t, rdb)
	ctx := context.Background()

	h, all, err := load(rdb)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(head, h); diff != "" {
		t.Errorf("Load's head (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(entries, all); diff != "" {
		t.Errorf("Load's entries (-want +got):\n%s", diff)
	}

	h, some, err := view.LoadKeys(ctx, rdb, ns, "name", "missing")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(head, h); diff != "" {
		t.Errorf("LoadKeys' head (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[events.Key]view.Entry{"name": entries["name"]}, some); diff != "" {
		t.Errorf("LoadKeys' entries (-want +got):\n%s", diff)
	}
	if _, none, err := view.LoadKeys(ctx, rdb, ns); err != nil || len(none) != 0 {
		t.Errorf("LoadKeys of no key: %v, %v", none, err)
	}

	h, err = view.LoadHead(ctx, rdb, ns)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(head, h); diff != "" {
		t.Errorf("LoadHead (-want +got):\n%s", diff)
	}
}

func TestLoadPassesTheCallersErrorOn(t *testing.T) {
	_, rdb := testenv.Redis(t)
	put(t, rdb)
	stop := errors.New("stop")
	if _, err := view.Load(context.Background(), rdb, ns, func(events.Key, view.Entry) error { return stop }); err != stop {
		t.Errorf("got %v, want the caller's own error", err)
	}
}

// What is wrong with a view, and which error says so. Nothing of it may read as "no keys".
func TestLoadOfBrokenViews(t *testing.T) {
	ctx := context.Background()
	for name, test := range map[string]struct {
		spoil func(*redis.Client) error
		want  error
	}{
		"view hash deleted": {func(c *redis.Client) error { return c.Del(ctx, view.HeadKey(ns)).Err() }, view.ErrAbsent},
		"all deleted":       {func(c *redis.Client) error { return c.FlushDB(ctx).Err() }, view.ErrAbsent},
		"values deleted":    {func(c *redis.Client) error { return c.Del(ctx, view.ValuesKey(ns)).Err() }, view.ErrIncomplete},
		"one value deleted": {func(c *redis.Client) error { return c.HDel(ctx, view.ValuesKey(ns), "name").Err() }, view.ErrIncomplete},
		"one value added":   {func(c *redis.Client) error { return c.HSet(ctx, view.ValuesKey(ns), "x", "1").Err() }, view.ErrIncomplete},
		"no position":       {func(c *redis.Client) error { return c.HDel(ctx, view.HeadKey(ns), "position").Err() }, view.ErrIncomplete},
		"no count":          {func(c *redis.Client) error { return c.HDel(ctx, view.HeadKey(ns), "keys").Err() }, view.ErrIncomplete},
		"position no count": {func(c *redis.Client) error { return c.HSet(ctx, view.HeadKey(ns), "position", "-1").Err() }, view.ErrIncomplete},
	} {
		t.Run(name, func(t *testing.T) {
			_, rdb := testenv.Redis(t)
			put(t, rdb)
			if err := test.spoil(rdb); err != nil {
				t.Fatal(err)
			}
			if _, _, err := load(rdb); !errors.Is(err, test.want) {
				t.Errorf("Load: got %v, want %v", err, test.want)
			}
			if _, _, err := view.LoadKeys(ctx, rdb, ns, "name"); !errors.Is(err, test.want) {
				t.Errorf("LoadKeys: got %v, want %v", err, test.want)
			}
		})
	}
}

func TestLoadOfABrokenEntryNamesTheKey(t *testing.T) {
	_, rdb := testenv.Redis(t)
	put(t, rdb)
	if err := rdb.HSet(context.Background(), view.ValuesKey(ns), "name", "hunter2").Err(); err != nil {
		t.Fatal(err)
	}
	_, _, err := load(rdb)
	if want := `load view of payments.prod: view is incomplete: key "name": decode entry: not JSON at byte 1`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestLoadHeartbeat(t *testing.T) {
	_, rdb := testenv.Redis(t)
	ctx := context.Background()
	if _, err := view.LoadHeartbeat(ctx, rdb); !errors.Is(err, view.ErrAbsent) {
		t.Errorf("without any: got %v, want %v", err, view.ErrAbsent)
	}
	if err := rdb.HSet(ctx, "holdfast:projector", "epoch", "e", "term", 3, "position", 345, "head", 350,
		"updated_at", "2026-02-03T04:05:06.000789Z").Err(); err != nil {
		t.Fatal(err)
	}
	got, err := view.LoadHeartbeat(ctx, rdb)
	if err != nil {
		t.Fatal(err)
	}
	want := view.Heartbeat{Epoch: "e", Term: 3, Position: 345, Head: 350, UpdatedAt: head.UpdatedAt}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := rdb.HDel(ctx, "holdfast:projector", "epoch").Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := view.LoadHeartbeat(ctx, rdb); !errors.Is(err, view.ErrIncomplete) {
		t.Errorf("without an epoch: got %v, want %v", err, view.ErrIncomplete)
	}
}

func TestErrorsSayWhatWasRead(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialerRetries: 1})
	defer rdb.Close()
	_, _, err := load(rdb)
	if err == nil || errors.Is(err, view.ErrAbsent) || errors.Is(err, view.ErrIncomplete) {
		t.Fatalf("without a server: got %v, want an error of the network", err)
	}
	if want := "load view of payments.prod: "; err.Error()[:len(want)] != want {
		t.Errorf("got %v, want it to start with %q", err, want)
	}
}

// BenchmarkLoad is what a reader's start costs.
func BenchmarkLoad(b *testing.B) {
	const keys = 100_000
	_, rdb := testenv.Redis(b)
	ctx := context.Background()
	fields := viewHash(b)
	fields["keys"] = fmt.Sprint(keys)
	if err := rdb.HSet(ctx, view.HeadKey(ns), fields).Err(); err != nil {
		b.Fatal(err)
	}
	for i := 0; i < keys; i += 1_000 {
		args := make([]any, 0, 2_000)
		for j := i; j < i+1_000; j++ {
			e := view.Entry{Value: events.Value(fmt.Sprintf(`"value %d"`, j)), Kind: events.String, Revision: 12, Position: 345, From: "payments.prod"}
			args = append(args, fmt.Sprintf("service.group%d.setting-%d", j%100, j), view.EncodeEntry(e))
		}
		if err := rdb.HSet(ctx, view.ValuesKey(ns), args...).Err(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		if _, err := view.Load(ctx, rdb, ns, func(events.Key, view.Entry) error { n++; return nil }); err != nil || n != keys {
			b.Fatal(n, err)
		}
	}
}
