package readmodel_test

import (
	"context"
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// fixed is a source with one view that never changes.
type fixed map[events.Key]readmodel.Entry

func (fixed) Name() string { return "fixed" }
func (fixed) Close() error { return nil }
func (f fixed) Follow(ctx context.Context, _ events.Namespace, _ view.Head, sink readmodel.Sink) error {
	sink.Load(view.Head{Epoch: "e", Position: 7, Revision: 3}, f)
	sink.Confirm(7, 7, time.Now())
	<-ctx.Done()
	return ctx.Err()
}

func openFixed(t testing.TB, values map[events.Key]events.Value, log *slog.Logger) *readmodel.Reader {
	t.Helper()
	f := fixed{}
	for key, v := range values {
		f[key] = readmodel.Entry{Value: v, Kind: events.JSON, Revision: 2, Position: 5, From: "payments"}
	}
	r, err := readmodel.Open(t.Context(), string(ns), readmodel.Config{Source: f, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

type limits struct {
	Burst int8              `json:"burst"`
	Names []string          `json:"names"`
	By    map[string]string `json:"by"`
}

// get reads one value through a key of each kind.
func get[T any](key *readmodel.Key[T]) func(readmodel.Values) (any, string) {
	return func(from readmodel.Values) (any, string) {
		v, meta := key.Lookup(from)
		if meta.Err != nil {
			return v, meta.Err.Error()
		}
		return v, ""
	}
}

func TestTypedKeys(t *testing.T) {
	t.Parallel()
	const refused = "payments.prod/k: value is not "
	for _, c := range []struct {
		value  events.Value
		key    func(readmodel.Values) (any, string)
		want   any
		reason string
	}{
		{"true", get(readmodel.Bool("k", false)), true, ""},
		{"false", get(readmodel.Bool("k", true)), false, ""},
		{`"true"`, get(readmodel.Bool("k", false)), false, refused + "a bool"},
		{"null", get(readmodel.Bool("k", true)), true, refused + "a bool"},

		{"42", get(readmodel.Int("k", 1)), 42, ""},
		{"9223372036854775807", get(readmodel.Int("k", int64(1))), int64(math.MaxInt64), ""},
		{"-9223372036854775808", get(readmodel.Int("k", int64(1))), int64(math.MinInt64), ""},
		{"9223372036854775808", get(readmodel.Int("k", int64(1))), int64(1), refused + "an int"},
		{"127", get(readmodel.Int("k", int8(1))), int8(127), ""},
		{"128", get(readmodel.Int("k", int8(1))), int8(1), "payments.prod/k: value is out of the range of int8"},
		{"1.5", get(readmodel.Int("k", 1)), 1, refused + "an int"},
		{`"1"`, get(readmodel.Int("k", 1)), 1, refused + "an int"},

		{"1.5", get(readmodel.Float("k", 1)), 1.5, ""},
		{"3", get(readmodel.Float("k", 1)), 3.0, ""},
		{"1e400", get(readmodel.Float("k", 1)), 1.0, refused + "a float"},
		{`"NaN"`, get(readmodel.Float("k", 1)), 1.0, refused + "a float"},

		{`"a\"b"`, get(readmodel.String("k", "d")), `a"b`, ""},
		{`""`, get(readmodel.String("k", "d")), "", ""},
		{"null", get(readmodel.String("k", "d")), "d", refused + "a string"},
		{"1", get(readmodel.String("k", "d")), "d", refused + "a string"},

		{`"1m30s"`, get(readmodel.Duration("k", time.Second)), 90 * time.Second, ""},
		{`"-5ms"`, get(readmodel.Duration("k", time.Second)), -5 * time.Millisecond, ""},
		{"90", get(readmodel.Duration("k", time.Second)), time.Second, refused + `a duration, such as "1m30s"`},
		{`"soon"`, get(readmodel.Duration("k", time.Second)), time.Second, refused + `a duration, such as "1m30s"`},

		{`"64MiB"`, get(readmodel.Size("k", 1)), int64(64 << 20), ""},
		{`"7EiB"`, get(readmodel.Size("k", 1)), int64(7 << 60), ""},
		{`"0B"`, get(readmodel.Size("k", 1)), int64(0), ""},
		{"1024", get(readmodel.Size("k", 1)), int64(1024), ""},
		{`"8EiB"`, get(readmodel.Size("k", 1)), int64(1), refused + `a size, such as "64MiB"`},
		{`"-1B"`, get(readmodel.Size("k", 1)), int64(1), refused + `a size, such as "64MiB"`},
		{`"+1B"`, get(readmodel.Size("k", 1)), int64(1), refused + `a size, such as "64MiB"`},
		{`"64MBi"`, get(readmodel.Size("k", 1)), int64(1), refused + `a size, such as "64MiB"`},
		{`""`, get(readmodel.Size("k", 1)), int64(1), refused + `a size, such as "64MiB"`},
		{`"`, get(readmodel.Size("k", 1)), int64(1), refused + `a size, such as "64MiB"`},

		{`{"burst":3,"names":["a"]}`, get(readmodel.JSON("k", limits{Burst: 9})), limits{Burst: 3, Names: []string{"a"}}, ""},
		{`{"names":[]}`, get(readmodel.JSON("k", limits{Burst: 9})), limits{Names: []string{}}, ""},
		{`{"burst":300}`, get(readmodel.JSON("k", limits{Burst: 9})), limits{Burst: 9},
			`payments.prod/k: value does not fit readmodel_test.limits: member "burst" is not of its type`},
		{`[300]`, get(readmodel.JSON("k", limits{})), limits{}, "payments.prod/k: value does not fit readmodel_test.limits"},
		{`300`, get(readmodel.JSON("k", 1)), 300, ""},
	} {
		r := openFixed(t, map[events.Key]events.Value{"k": c.value}, slog.New(slog.DiscardHandler))
		for range 2 { // decoded, and remembered
			got, reason := c.key(r)
			if diff := cmp.Diff(c.want, got); diff != "" || reason != c.reason {
				t.Errorf("%s: (-want +got):\n%s, refused %q, want %q", c.value, diff, reason, c.reason)
			}
		}
	}
}

func TestTypedKeyOnNothing(t *testing.T) {
	t.Parallel()
	key := readmodel.Int("db.max_conns", 20)
	var reader *readmodel.Reader
	var snapshot *readmodel.Snapshot
	for _, from := range []readmodel.Values{nil, reader, snapshot, openFixed(t, nil, nil)} {
		if got := key.Get(from); got != 20 {
			t.Errorf("on %T: got %d", from, got)
		}
		if got, meta := key.Lookup(from); got != 20 || meta.From != "" || meta.Position != 0 || meta.Err != nil {
			t.Errorf("on %T: got %d, %+v", from, got, meta)
		}
	}
	if snapshot.Len() != 0 || snapshot.Position() != 0 || snapshot.Revision() != 0 || snapshot.Namespace() != "" || snapshot.Epoch() != "" {
		t.Error("a nil snapshot is not empty")
	}
	for range snapshot.All() {
		t.Error("a nil snapshot has values")
	}
}

func TestLookup(t *testing.T) {
	t.Parallel()
	var log lines
	r := openFixed(t, map[events.Key]events.Value{"n": "5", "s": `"hunter2"`}, slog.New(slog.NewTextHandler(&log, nil)))
	if got, meta := readmodel.Int("n", 1).Lookup(r); got != 5 || meta != (readmodel.Meta{From: "payments", Revision: 2, Position: 5, Source: "fixed"}) {
		t.Errorf("got %d, %+v", got, meta)
	}
	bad := readmodel.Int("s", 1)
	for range 3 {
		if got := bad.Get(r.Snapshot()); got != 1 {
			t.Errorf("got %d", got)
		}
	}
	if log.count("value refused") != 1 || log.count("hunter2") != 0 {
		t.Errorf("got this log, want one refusal and no value:\n%s", &log.text)
	}
	// Two declarations of one key do not disturb each other.
	if a, b := readmodel.String("s", "").Get(r), readmodel.JSON("s", any(nil)).Get(r); a != "hunter2" || b != "hunter2" {
		t.Errorf("got %q and %q", a, b)
	}
}

func TestBadKeyNamePanics(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("a name with a space was taken")
		}
	}()
	readmodel.Int("db max", 1)
}

// A value is decoded once, however many snapshots it stands in, and also when the view is loaded anew.
func TestDecodedOnce(t *testing.T) {
	t.Parallel()
	url, rdb := testenv.Redis(t)
	p := newProjector(t, rdb)
	p.set("k", `{"burst":3}`)
	r := open(t, url)
	key := readmodel.JSON("k", (*limits)(nil))
	first := key.Get(r)
	waitFor(t, r, p.set("other", "1"))
	p.head.Position++
	p.rebuild()
	testenv.Eventually(t, "view loaded anew", func() bool { return r.Status().Resyncs > 0 })
	if key.Get(r) != first {
		t.Error("decoded again")
	}
	waitFor(t, r, p.set("k", `{"burst":4}`))
	if got := key.Get(r); got == first || got.Burst != 4 {
		t.Errorf("got %+v", got)
	}
}

func TestReadsDoNotAllocate(t *testing.T) {
	r := openFixed(t, map[events.Key]events.Value{"n": "5", "d": `"5s"`, "j": `{"burst":3}`}, nil)
	n, d, j := readmodel.Int("n", 1), readmodel.Duration("d", 0), readmodel.JSON("j", limits{})
	allocs := testing.AllocsPerRun(1000, func() {
		r.Get("n")
		r.Snapshot().Get("absent")
		n.Get(r)
		d.Get(r)
		j.Get(r.Snapshot())
	})
	if allocs != 0 {
		t.Errorf("got %v allocations, want none", allocs)
	}
}
