package readmodel_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel"
	"github.com/holdfast-config/holdfast/readmodel/readmodeltest"
)

// pool stands for a component that is costly to make.
type pool struct {
	size   int
	old    *pool
	closed atomic.Bool
}

func buildPool(_ context.Context, s *readmodel.Snapshot, old *pool) (*pool, error) {
	if left.Get(s) > 50 {
		return nil, errTooMany
	}
	return &pool{size: left.Get(s), old: old}, nil
}

func closePool(p *pool) {
	if p.closed.Swap(true) {
		panic("closed twice")
	}
}

func managed(t *testing.T, r *readmodeltest.Reader, cfg readmodel.ManageConfig) *readmodel.Managed[*pool] {
	t.Helper()
	m, err := readmodel.Manage(r.Reader, buildPool, closePool, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func TestManage(t *testing.T) {
	t.Parallel()
	r := readmodeltest.New(t, left.Value(1), right.Value(1))
	var mu sync.Mutex
	var hooks []string
	note := func(s string) {
		mu.Lock()
		defer mu.Unlock()
		hooks = append(hooks, s)
	}
	m := managed(t, r, readmodel.ManageConfig{
		Keys:   []readmodel.Declared{left},
		Before: func(readmodel.Change) { note("before") },
		After: func(_ readmodel.Change, err error) {
			note("after")
			if err != nil {
				note(err.Error())
				panic("survived")
			}
		},
	})
	one, release := m.Use()
	if one.size != 1 || one.old != nil {
		t.Fatalf("got %+v", one)
	}

	r.Set(left.Value(2))
	two, release2 := m.Use()
	if two.size != 2 || two.old != one {
		t.Errorf("got %+v", two)
	}
	if one.closed.Load() {
		t.Error("closed while in use")
	}
	release()
	release()
	testenv.Eventually(t, "the old one is closed", one.closed.Load)

	if err := r.TrySet(left.Value(51), right.Value(2)); !errors.Is(err, errTooMany) {
		t.Errorf("got %v", err)
	}
	if p, done := m.Use(); p != two || right.Get(r) != 1 {
		t.Errorf("got %+v, %d: the old one and its snapshot should go on", p, right.Get(r))
	} else {
		done()
	}
	r.Set(left.Value(2)) // right was changed since, left as seen from what is shown was not
	r.Set(right.Value(3))
	if p, done := m.Use(); p != two {
		t.Error("built anew although none of its keys has another value")
	} else {
		done()
	}
	release2()
	m.Close()
	if !two.closed.Load() {
		t.Error("Close returned before the component was closed")
	}
	r.Set(left.Value(60)) // nobody objects any more
	if p, done := m.Use(); p == nil {
		t.Error("nothing to use after Close")
	} else {
		done()
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"before", "after", "before", "after", "too many"}; len(hooks) < 5 || !slices.Equal(hooks[:5], want) {
		t.Errorf("hooks: got %v, want %v", hooks, want)
	}
}

func TestManageFirstBuildFails(t *testing.T) {
	t.Parallel()
	r := readmodeltest.New(t, left.Value(51))
	if _, err := readmodel.Manage(r.Reader, buildPool, closePool, readmodel.ManageConfig{}); !errors.Is(err, errTooMany) {
		t.Errorf("got %v", err)
	}
	r.Set(left.Value(52)) // it does not object to changes
}

// What was built for a change that something else vetoed, or too late, is closed, and the old one is as it was.
func TestManageBuiltInVain(t *testing.T) {
	t.Parallel()
	r := readmodeltest.New(t, left.Value(1))
	var mu sync.Mutex
	var built []*pool
	entered, hang := make(chan struct{}, 1), make(chan struct{})
	m, err := readmodel.Manage(r.Reader, func(ctx context.Context, s *readmodel.Snapshot, old *pool) (*pool, error) {
		p, err := buildPool(ctx, s, old)
		mu.Lock()
		built = append(built, p)
		mu.Unlock()
		if p.size == 3 {
			entered <- struct{}{}
			<-hang
		}
		return p, err
	}, closePool, readmodel.ManageConfig{Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	stop := r.Prepare(func(context.Context, readmodel.Change) error { return errTooMany })
	if err := r.TrySet(left.Value(2)); !errors.Is(err, errTooMany) {
		t.Fatalf("got %v", err)
	}
	last := func() *pool { mu.Lock(); defer mu.Unlock(); return built[len(built)-1] }
	vain := last()
	testenv.Eventually(t, "what was built in vain is closed", vain.closed.Load)
	stop()
	waitFor(t, r.Reader, 2)

	if err := r.TrySet(left.Value(3)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	<-entered
	late := last()
	if late.closed.Load() {
		t.Error("closed before it was handed over")
	}
	close(hang)
	testenv.Eventually(t, "what came too late is closed", late.closed.Load)
	p, release := m.Use()
	defer release()
	if p.size != 2 || p.closed.Load() {
		t.Errorf("got %+v", p)
	}
}

func TestManageGrace(t *testing.T) {
	t.Parallel()
	r := readmodeltest.New(t, left.Value(1))
	m := managed(t, r, readmodel.ManageConfig{Grace: time.Millisecond})
	one, release := m.Use()
	r.Set(left.Value(2))
	testenv.Eventually(t, "the grace time is over", one.closed.Load)
	release() // must not close it again
}

// A build may return the component that it was handed: it stays and is not closed.
func TestManageKeepsWhatBuildReturns(t *testing.T) {
	t.Parallel()
	r := readmodeltest.New(t, left.Value(1))
	closed := make(chan *pool, 10)
	m, err := readmodel.Manage(r.Reader, func(ctx context.Context, s *readmodel.Snapshot, old *pool) (*pool, error) {
		if old != nil && right.Get(s) > 0 {
			return old, nil
		}
		return buildPool(ctx, s, old)
	}, func(p *pool) { closed <- p }, readmodel.ManageConfig{})
	if err != nil {
		t.Fatal(err)
	}
	one, release := m.Use()
	release()
	r.Set(right.Value(1))
	two, release := m.Use()
	release()
	if one != two {
		t.Error("not kept")
	}
	m.Close()
	if p := <-closed; p != one || len(closed) != 0 {
		t.Errorf("closed %v and %d more", p, len(closed))
	}
}

// Snapshot and component switch in one instant: whoever has seen the new snapshot gets the new component, they always
// belong together, and none is closed while it is used.
func TestManageSwitchesTogether(t *testing.T) {
	t.Parallel()
	r := readmodeltest.New(t, left.Value(1), right.Value(1))
	m := managed(t, r, readmodel.ManageConfig{})
	stop := make(chan struct{})
	var users sync.WaitGroup
	for range 3 {
		users.Go(func() {
			for {
				seen := left.Get(r)
				s, p, release := m.UseBoth()
				if p.size != left.Get(s) || p.size < seen || left.Get(s) != right.Get(s) {
					t.Errorf("component of %d with a snapshot of %d, after %d", p.size, left.Get(s), seen)
				}
				if p.closed.Load() {
					t.Error("closed while in use")
				}
				release()
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for n := 2; n <= 50; n++ {
		r.Set(left.Value(n), right.Value(n))
		if err := r.TrySet(left.Value(51), right.Value(51)); !errors.Is(err, errTooMany) {
			t.Errorf("got %v", err)
		}
	}
	close(stop)
	users.Wait()
}
