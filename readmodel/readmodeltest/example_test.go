package readmodeltest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-config/holdfast/readmodel"
	"github.com/holdfast-config/holdfast/readmodel/readmodeltest"
)

// Pool is a part of a program that reads its configuration.
type Pool struct{ size int }

func NewPool(r *readmodel.Reader) *Pool {
	p := &Pool{size: maxConns.Get(r)}
	maxConns.OnChange(r, func(_, size int) { p.size = size })
	return p
}

// testPool is how a test looks; it would be called TestPool and take a *testing.T.
func testPool(t testing.TB) {
	r := readmodeltest.New(t, maxConns.Value(5))
	pool := NewPool(r.Reader)
	r.Set(maxConns.Value(50)) // returns when the pool has heard of it
	if pool.size != 50 {
		t.Errorf("got %d connections, want 50", pool.size)
	}
	r.Disconnect()
	fmt.Println(pool.size, r.Status().State)
}

func Example() {
	t := &printed{}
	testPool(t)
	t.end()
	// Output:
	// 50 stale
}

// A test of what happens when a program refuses a change.
func ExampleReader_TrySet() {
	t := &printed{}
	defer t.end()
	r := readmodeltest.New(t, maxConns.Value(5))
	r.Prepare(func(_ context.Context, c readmodel.Change) error {
		if maxConns.Get(c.After) > 100 {
			return errors.New("no room for more than 100")
		}
		return nil
	})
	err := r.TrySet(maxConns.Value(200))
	veto, _ := errors.AsType[*readmodel.VetoError](err)
	fmt.Println(veto.Why)
	fmt.Println(maxConns.Get(r))
	// Output:
	// no room for more than 100
	// 5
}

// A test of a value that the program's declaration refuses.
func ExampleRaw() {
	t := &printed{}
	defer t.end()
	r := readmodeltest.New(t, maxConns.Value(5))
	r.Set(readmodeltest.Raw("db.max_conns", `"many"`))
	n, meta := maxConns.Lookup(r)
	fmt.Println(n, meta.Err)
	r.Unset(maxConns)
	fmt.Println(maxConns.Get(r))
	// Output:
	// 5 test/db.max_conns: value is not an int
	// 20
}

// A test of what a program does with old values, and when it is connected again.
func ExampleReader_Reconnect() {
	t := &printed{}
	defer t.end()
	r := readmodeltest.Open(t, readmodel.Config{MaxStale: time.Nanosecond}, maxConns.Value(5))
	r.Disconnect()
	r.Set(maxConns.Value(50))
	fmt.Println(maxConns.Get(r), r.Health() == nil)
	if err := r.Reconnect(); err != nil {
		t.Error(err)
	}
	fmt.Println(maxConns.Get(r), r.Health() == nil)
	// Output:
	// 5 false
	// 50 true
}

// printed stands in for the testing.T that an example does not have.
type printed struct {
	testing.TB
	cleanups []func()
}

func (*printed) Helper()                           {}
func (p *printed) Cleanup(fn func())               { p.cleanups = append(p.cleanups, fn) }
func (*printed) Error(args ...any)                 { fmt.Println(args...) }
func (*printed) Errorf(format string, args ...any) { fmt.Printf(format, args...) }
func (*printed) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
func (*printed) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (p *printed) end() {
	for _, fn := range slices.Backward(p.cleanups) {
		fn()
	}
}
