package readmodel_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// memory is a source for these examples: it starts with two values and takes change sets from a channel. A service gives
// Config.Redis instead.
type memory chan view.ChangeSet

func (memory) Name() string { return "memory" }
func (memory) Close() error { return nil }

func (m memory) Follow(ctx context.Context, _ events.Namespace, have view.Head, sink readmodel.Sink) error {
	if have.Epoch == "" {
		sink.Load(view.Head{Epoch: "e", Position: 2, Revision: 1}, map[events.Key]readmodel.Entry{
			"db.max_conns": {Value: "50", Kind: events.Int, Revision: 1, Position: 1, From: "payments"},
			"http.timeout": {Value: `"1m30s"`, Kind: events.Duration, Revision: 1, Position: 2, From: "default"},
		})
	}
	sink.Confirm(2, 2, time.Now())
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case cs := <-m:
			sink.Apply(cs)
			sink.Confirm(cs.Position, cs.Position, time.Now())
		}
	}
}

// set is what an operator does elsewhere.
func (m memory) set(pos events.Position, key events.Key, value events.Value) {
	m <- view.ChangeSet{
		Epoch: "e", Namespace: "payments.prod", Position: pos, Prev: pos - 1, Revision: 2,
		Origin: "payments.prod", OriginRevision: 2, Actor: "ada", Reason: "more load",
		Changes: []view.Change{{Key: key, Entry: &readmodel.Entry{
			Value: value, Kind: events.Int, Revision: 2, Position: pos, From: "payments.prod",
		}}},
	}
}

func example() (*readmodel.Reader, memory) {
	source := make(memory)
	r, err := readmodel.Open(context.Background(), "payments.prod", readmodel.Config{
		Source: source, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		panic(err)
	}
	return r, source
}

var (
	MaxConns = readmodel.Int("db.max_conns", 20)
	Timeout  = readmodel.Duration("http.timeout", 5*time.Second)
	Debug    = readmodel.Bool("log.debug", false)
)

func Example() {
	r, _ := example() // a service: readmodel.Open(ctx, "payments.prod", readmodel.Config{Redis: "redis://localhost:6379"})
	defer r.Close()
	fmt.Println(MaxConns.Get(r), Timeout.Get(r), Debug.Get(r))
	// Output: 50 1m30s false
}

func ExampleOpen() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_, err := readmodel.Open(ctx, "payments/prod", readmodel.Config{Redis: "redis://localhost:6379"})
	fmt.Println(err)
	// Output: open: namespace "payments/prod": '/' is not one of a-z, 0-9, '-' and '.' at byte 8, after "payments"
}

// Parts of a program that want a reader of their own, for their keys, hooks and listeners, share what one of them has opened.
func ExampleOpen_share() {
	r, source := example()
	defer r.Close()
	pool, err := readmodel.Open(context.Background(), "payments.prod", readmodel.Config{Share: r, Keys: []readmodel.Declared{MaxConns}})
	if err != nil {
		panic(err)
	}
	defer pool.Close() // the last to be closed closes the source
	pool.Prepare(func(_ context.Context, c readmodel.Change) error {
		if MaxConns.Get(c.After) > 60 {
			return errors.New("the pool has room for 60")
		}
		return nil
	})
	source.set(3, "db.max_conns", "80")
	fmt.Println(pool.WaitFor(context.Background(), 3))
	fmt.Println(MaxConns.Get(pool), MaxConns.Get(r))
	// Output:
	// wait for position 3, at 2: position 3 was vetoed: the pool has room for 60
	// 50 80
}

func ExampleReader_Get() {
	r, _ := example()
	defer r.Close()
	e, ok := r.Get("db.max_conns")
	fmt.Println(e.Value, e.Kind, e.From, ok)
	_, ok = r.Get("db.min_conns")
	fmt.Println(ok)
	// Output:
	// 50 int payments true
	// false
}

// Reads on one snapshot agree with each other, whatever happens meanwhile.
func ExampleReader_Snapshot() {
	r, source := example()
	defer r.Close()
	s := r.Snapshot()
	source.set(3, "db.max_conns", "80")
	r.WaitFor(context.Background(), 3)
	fmt.Println(s.Position(), MaxConns.Get(s))
	fmt.Println(r.Snapshot().Position(), MaxConns.Get(r))
	// Output:
	// 2 50
	// 3 80
}

func ExampleSnapshot_Get() {
	r, _ := example()
	defer r.Close()
	s := r.Snapshot()
	e, ok := s.Get("http.timeout")
	fmt.Println(e.Value, e.From, ok, s.Namespace(), s.Position())
	// Output: "1m30s" default true payments.prod 2
}

func ExampleSnapshot_All() {
	r, _ := example()
	defer r.Close()
	for key, e := range r.Snapshot().All() {
		fmt.Println(key, e.Value)
	}
	// Output:
	// db.max_conns 50
	// http.timeout "1m30s"
}

func ExampleReader_OnChange() {
	r, source := example()
	defer r.Close()
	done := make(chan struct{})
	stop := r.OnChange(func(c readmodel.Changed) {
		for _, ch := range c.Changes {
			fmt.Printf("%d: %s set %s from %s to %s: %s\n", c.Position, c.Actor, ch.Key, ch.Old.Value, ch.New.Value, c.Reason)
		}
		close(done)
	})
	defer stop()
	source.set(3, "db.max_conns", "80")
	<-done
	// Output: 3: ada set db.max_conns from 50 to 80: more load
}

// The answer to a write carries its position; a reader that has it shows the write.
func ExampleReader_WaitFor() {
	r, source := example()
	defer r.Close()
	source.set(3, "db.max_conns", "80")
	if err := r.WaitFor(context.Background(), 3); err != nil {
		panic(err)
	}
	fmt.Println(MaxConns.Get(r))

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	fmt.Println(r.WaitFor(ctx, 99))
	// Output:
	// 80
	// wait for position 99, at 3: context deadline exceeded
}

func ExampleReader_Status() {
	r, _ := example()
	defer r.Close()
	st := r.Status()
	fmt.Println(st.State, st.Source, st.Position, st.Head, st.Keys, st.Age, st.Err)
	r.Close()
	st = r.Status()
	fmt.Println(st.State, st.Err)
	// Output:
	// live memory 2 2 2 0s <nil>
	// stale reader is closed
}

// A key reads from a reader, from a snapshot, and from nothing.
func ExampleKey_Get() {
	r, _ := example()
	defer r.Close()
	fmt.Println(MaxConns.Get(r), MaxConns.Get(r.Snapshot()), MaxConns.Get(nil))
	// Output: 50 50 20
}

func ExampleBool() {
	r, source := example()
	defer r.Close()
	source.set(3, "log.debug", "true")
	r.WaitFor(context.Background(), 3)
	fmt.Println(Debug.Get(r))
	// Output: true
}

func ExampleInt() {
	limit := readmodel.Int("rate.limit", int64(100)) // the default says which type of integer
	fmt.Println(limit.Get(nil))
	// Output: 100
}

func ExampleFloat() {
	r, source := example()
	defer r.Close()
	ratio := readmodel.Float("sample.ratio", 0.1, readmodel.Range(0.0, 1.0))
	source.set(3, "sample.ratio", "0.25")
	r.WaitFor(context.Background(), 3)
	fmt.Println(ratio.Get(r))
	// Output: 0.25
}

func ExampleString() {
	r, source := example()
	defer r.Close()
	greeting := readmodel.String("greeting", "hello")
	source.set(3, "greeting", `"good morning"`)
	r.WaitFor(context.Background(), 3)
	fmt.Println(greeting.Get(r))
	// Output: good morning
}

func ExampleDuration() {
	r, _ := example()
	defer r.Close()
	fmt.Println(Timeout.Get(r), Timeout.Get(nil))
	// Output: 1m30s 5s
}

func ExampleSize() {
	r, source := example()
	defer r.Close()
	upload := readmodel.Size("upload.max", 1<<20)
	source.set(3, "upload.max", `"64MiB"`)
	r.WaitFor(context.Background(), 3)
	fmt.Println(upload.Get(r), "bytes")
	// Output: 67108864 bytes
}

func ExampleKey_Lookup() {
	r, _ := example()
	defer r.Close()
	n, meta := MaxConns.Lookup(r)
	fmt.Println(n, meta.From, meta.Revision, meta.Position, meta.Err)
	wrong := readmodel.Bool("db.max_conns", true)
	b, meta := wrong.Lookup(r)
	fmt.Println(b, meta.Err)
	// Output:
	// 50 payments 1 1 <nil>
	// true payments.prod/db.max_conns: value is not a bool
}

type RateLimit struct{ Burst, Rate int }

func ExampleJSON() {
	r, source := example()
	defer r.Close()
	limit := readmodel.JSON("rate", RateLimit{Burst: 10, Rate: 1})
	source.set(3, "rate", `{"Burst":50}`) // a whole value: what it does not name is zero
	r.WaitFor(context.Background(), 3)
	fmt.Println(limit.Get(r), limit.Get(nil))
	// Output: {50 0} {10 1}
}

func ExampleStatusHandler() {
	r, _ := example()
	defer r.Close()
	answer := httptest.NewRecorder()
	readmodel.StatusHandler(r).ServeHTTP(answer, httptest.NewRequest("GET", "/healthz/config", nil))
	fmt.Println(answer.Code, strings.Contains(answer.Body.String(), `"state":"live"`))
	// Output: 200 true
}

func ExampleReader_Health() {
	r, err := readmodel.Open(context.Background(), "payments.prod", readmodel.Config{
		Redis: "redis://127.0.0.1:1", AllowDefaults: true, Wait: time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		panic(err)
	}
	defer r.Close()
	fmt.Println(r.Status().State, r.Health() != nil)
	// Output: defaults true
}
