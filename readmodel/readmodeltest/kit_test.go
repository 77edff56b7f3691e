package readmodeltest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"github.com/holdfast-config/holdfast/readmodel"
	"github.com/holdfast-config/holdfast/readmodel/readmodeltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	maxConns = readmodel.Int("db.max_conns", 20, readmodel.Range(1, 500))
	debug    = readmodel.Bool("log.debug", false)
)

func TestSetReturnsWhenListenersHaveRun(t *testing.T) {
	t.Parallel()
	r := readmodeltest.New(t, maxConns.Value(5))
	if maxConns.Get(r) != 5 || debug.Get(r) {
		t.Errorf("got %d, %t", maxConns.Get(r), debug.Get(r))
	}
	seen := 0 // no lock: the race detector tells if Set returns too early
	maxConns.OnChange(r.Reader, func(_, after int) { seen = after })
	for n := 6; n < 100; n++ {
		r.Set(maxConns.Value(n))
		if seen != n || maxConns.Get(r) != n {
			t.Fatalf("got %d, told %d, want %d", maxConns.Get(r), seen, n)
		}
	}
	r.Unset(maxConns)
	if seen != 20 {
		t.Errorf("told %d, want the default", seen)
	}
}

func TestDisconnect(t *testing.T) {
	t.Parallel()
	r := readmodeltest.New(t, maxConns.Value(5))
	for n := 6; n < 10; n++ {
		r.Disconnect()
		if st := r.Status(); st.State != readmodel.Stale || st.Err == nil {
			t.Errorf("status %+v", st)
		}
		r.Set(maxConns.Value(n), debug.Value(true))
		r.Unset(debug)
		if got := maxConns.Get(r); got != n-1 {
			t.Errorf("got %d while disconnected, want %d", got, n-1)
		}
		if err := r.Reconnect(); err != nil {
			t.Error(err)
		}
		if st := r.Status(); maxConns.Get(r) != n || debug.Get(r) || st.State != readmodel.Live {
			t.Errorf("got %d, %+v after reconnecting, want %d", maxConns.Get(r), st, n)
		}
	}
	if st := r.Status(); st.Resyncs != 0 || st.Source != "memory" {
		t.Errorf("status %+v", st)
	}
}

func TestRawAndVeto(t *testing.T) {
	t.Parallel()
	r := readmodeltest.New(t, maxConns.Value(5))
	r.Set(readmodeltest.Raw("db.max_conns", `"many"`), debug.Value(true))
	if _, meta := maxConns.Lookup(r); maxConns.Get(r) != 5 || meta.Err == nil || !debug.Get(r) {
		t.Errorf("got %d, %v", maxConns.Get(r), meta.Err)
	}
	no := errors.New("no")
	r.Prepare(func(context.Context, readmodel.Change) error { return no })
	if err := r.TrySet(maxConns.Value(6)); !errors.Is(err, no) {
		t.Errorf("got %v", err)
	}
	r.Disconnect()
	r.Set(maxConns.Value(7))
	if err := r.Reconnect(); !errors.Is(err, no) {
		t.Errorf("got %v", err)
	}
	for _, bad := range [][2]string{{"a b", "1"}, {"a", "{"}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%v was taken", bad)
				}
			}()
			readmodeltest.Raw(bad[0], bad[1])
		}()
	}
}

// failing catches what would fail a test.
type failing struct {
	testing.TB
	text string
}

func (f *failing) Helper()                           {}
func (f *failing) Fatalf(format string, args ...any) { f.text = fmt.Sprintf(format, args...) }

func TestSetFailsTheTestOnVeto(t *testing.T) {
	t.Parallel()
	f := &failing{TB: t}
	r := readmodeltest.New(f, maxConns.Value(5))
	r.Prepare(func(context.Context, readmodel.Change) error { return errors.New("too many") })
	r.Set(maxConns.Value(6))
	if want := "readmodeltest: set: wait for position 2, at 1: position 2 was vetoed: too many"; f.text != want {
		t.Errorf("got %q, want %q", f.text, want)
	}
}
