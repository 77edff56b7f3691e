package readmodel_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"github.com/holdfast-config/holdfast/readmodel"
)

type Speed string

const (
	Safe Speed = "safe"
	Fast Speed = "fast"
)

func ExampleEnum() {
	mode := readmodel.Enum("mode", Safe, Safe, Fast)
	fmt.Println(mode.Get(nil))
	// Output: safe
}

// What the program can not work with is not used: the last good value stays.
func ExampleRange() {
	r, source := example()
	defer r.Close()
	conns := readmodel.Int("db.max_conns", 20, readmodel.Range(1, 500))
	fmt.Println(conns.Get(r))
	source.set(3, "db.max_conns", "5000")
	r.WaitFor(context.Background(), 3)
	n, meta := conns.Lookup(r)
	fmt.Println(n, meta.Err)
	fmt.Println(r.Status().Refused[0].Key)
	// Output:
	// 50
	// 50 payments.prod/db.max_conns: value is not between 1 and 500
	// db.max_conns
}

func ExampleOneOf() {
	level := readmodel.String("log.level", "info", readmodel.OneOf("debug", "info", "error"))
	fmt.Println(level.Get(nil))
	// Output: info
}

func ExampleCheck() {
	workers := readmodel.Int("workers", 8, readmodel.Check(func(n int) error {
		if n&(n-1) != 0 {
			return errors.New("value is not a power of two")
		}
		return nil
	}))
	fmt.Println(workers.Get(nil))
	// Output: 8
}

func ExampleBind() {
	type DBConfig struct {
		MaxConns int           `holdfast:"db.max_conns,min=1,max=500,default=20"`
		Timeout  time.Duration `holdfast:"http.timeout,default=5s"`
		Rate     RateLimit     `holdfast:"rate,default={\"Burst\":10}"`
	}
	r, source := example()
	defer r.Close()
	config, err := readmodel.Bind[DBConfig](r)
	if err != nil {
		panic(err)
	}
	fmt.Println(*config.Load())
	source.set(3, "db.max_conns", "80")
	r.WaitFor(context.Background(), 3)
	fmt.Println(*config.Load())
	// Output:
	// {50 1m30s {10 0}}
	// {80 1m30s {10 0}}
}

// The struct as of a request's position.
func ExampleBound_At() {
	type DBConfig struct {
		MaxConns int `holdfast:"db.max_conns,default=20"`
	}
	r, source := example()
	defer r.Close()
	config, err := readmodel.Bind[DBConfig](r)
	if err != nil {
		panic(err)
	}
	ctx := readmodel.Pin(context.Background(), r)
	source.set(3, "db.max_conns", "80")
	r.WaitFor(ctx, 3)
	fmt.Println(*config.At(readmodel.Pinned(ctx)), *config.Load(), *config.At(nil))
	// Output: {50} {80} {20}
}

// A request sees one position from start to end.
func ExamplePin() {
	r, source := example()
	defer r.Close()
	ctx := readmodel.Pin(context.Background(), r)
	source.set(3, "db.max_conns", "80")
	r.WaitFor(ctx, 3)
	fmt.Println(MaxConns.Get(readmodel.Pinned(ctx)), MaxConns.Get(r))
	// Output: 50 80
}

// Several readers can be pinned to one context.
func ExampleReader_Pinned() {
	payments, source := example()
	defer payments.Close()
	others, _ := example()
	defer others.Close()
	ctx := readmodel.Pin(readmodel.Pin(context.Background(), payments), others)
	source.set(3, "db.max_conns", "80")
	payments.WaitFor(ctx, 3)
	fmt.Println(MaxConns.Get(payments.Pinned(ctx)), MaxConns.Get(payments.Pinned(context.Background())))
	// Output: 50 80
}

func ExamplePinRequests() {
	r, _ := example()
	defer r.Close()
	handler := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		fmt.Fprintln(w, MaxConns.Get(readmodel.Pinned(req.Context())))
	})
	answer := httptest.NewRecorder()
	readmodel.PinRequests(r)(handler).ServeHTTP(answer, httptest.NewRequest("GET", "/", nil))
	fmt.Print(answer.Body)
	// Output: 50
}

func ExampleKey_OnChange() {
	r, source := example()
	defer r.Close()
	done := make(chan struct{})
	MaxConns.OnChange(r, func(before, after int) {
		fmt.Println(before, "is now", after)
		close(done)
	})
	source.set(3, "db.max_conns", "80")
	<-done
	// Output: 50 is now 80
}

func ExampleReader_Changes() {
	r, source := example()
	defer r.Close()
	changes := r.Changes(context.Background())
	source.set(3, "db.max_conns", "80")
	for c := range changes {
		fmt.Println(c.Position, c.Actor, c.Changes[0].Key)
		break
	}
	// Output: 3 ada db.max_conns
}

func ExampleReader_Prepare() {
	r, source := example()
	defer r.Close()
	r.Prepare(func(_ context.Context, c readmodel.Change) error {
		if MaxConns.Get(c.After) > 100 {
			return errors.New("this machine has no room for more than 100 connections")
		}
		return nil
	})
	source.set(3, "db.max_conns", "400")
	err := r.WaitFor(context.Background(), 3)
	veto, _ := errors.AsType[*readmodel.VetoError](err)
	fmt.Println(veto)
	fmt.Println(MaxConns.Get(r), r.Status().Position, r.Status().Rejected.Position)
	source.set(4, "db.max_conns", "90")
	fmt.Println(r.WaitFor(context.Background(), 4), MaxConns.Get(r))
	// Output:
	// position 3 was vetoed: this machine has no room for more than 100 connections
	// 50 2 3
	// <nil> 90
}

// What was in the way is gone: the state that was vetoed is tried again.
func ExampleReader_Retry() {
	r, source := example()
	defer r.Close()
	var room atomic.Int64
	room.Store(100)
	r.Prepare(func(_ context.Context, c readmodel.Change) error {
		if n := room.Load(); int64(MaxConns.Get(c.After)) > n {
			return fmt.Errorf("there is room for %d", n)
		}
		return nil
	})
	source.set(3, "db.max_conns", "400")
	fmt.Println(r.WaitFor(context.Background(), 3))
	room.Store(1000)
	r.Retry()
	fmt.Println(r.WaitFor(context.Background(), 3), MaxConns.Get(r))
	// Output:
	// wait for position 3, at 2: position 3 was vetoed: there is room for 100
	// <nil> 400
}

// In tests: whoever listens has been told.
func ExampleReader_Delivered() {
	r, source := example()
	defer r.Close()
	told := 0
	MaxConns.OnChange(r, func(_, after int) { told = after })
	source.set(3, "db.max_conns", "80")
	r.WaitFor(context.Background(), 3)
	fmt.Println(r.Delivered(context.Background()), told)
	// Output: <nil> 80
}

// A semaphore is built anew when its size changes; who has it goes on with the old one.
func ExampleManage() {
	r, source := example()
	defer r.Close()
	closed := make(chan int, 2)
	m, err := readmodel.Manage(r,
		func(_ context.Context, s *readmodel.Snapshot, old chan struct{}) (chan struct{}, error) {
			return make(chan struct{}, MaxConns.Get(s)), nil
		},
		func(sem chan struct{}) { closed <- cap(sem) },
		readmodel.ManageConfig{Keys: []readmodel.Declared{MaxConns}})
	if err != nil {
		panic(err)
	}
	old, release := m.Use()
	source.set(3, "db.max_conns", "80")
	r.WaitFor(context.Background(), 3)
	s, sem, releaseNew := m.UseBoth()
	fmt.Println(cap(old), cap(sem), MaxConns.Get(s))
	releaseNew()
	release()
	fmt.Println("closed", <-closed)
	m.Close()
	fmt.Println("closed", <-closed)
	// Output:
	// 50 80 80
	// closed 50
	// closed 80
}
