package readmodeltest_test

import (
	"fmt"
	"slices"
	"testing"

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
