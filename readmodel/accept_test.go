package readmodel_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel"
	"github.com/holdfast-config/holdfast/readmodel/readmodeltest"
)

var (
	left  = readmodel.Int("left", 0)
	right = readmodel.Int("right", 0)
)

var errTooMany = errors.New("too many")

// atMost vetoes changes that set left above n.
func atMost(n int) func(context.Context, readmodel.Change) error {
	return func(_ context.Context, c readmodel.Change) error {
		if left.Get(c.After) > n {
			return errTooMany
		}
		return nil
	}
}

func TestVetoKeepsTheWholeSnapshot(t *testing.T) {
	t.Parallel()
	var log lines
	r := readmodeltest.Open(t, readmodel.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}, left.Value(1), right.Value(1))
	r.Prepare(atMost(10))
	told := 0
	r.OnChange(func(readmodel.Changed) { told++ })

	err := r.TrySet(left.Value(11), right.Value(11))
	veto, ok := errors.AsType[*readmodel.VetoError](err)
	if !ok || !errors.Is(err, errTooMany) || veto.Position != 2 || veto.Origin != readmodeltest.Namespace {
		t.Fatalf("got %v", err)
	}
	if l, rt := left.Get(r), right.Get(r); l != 1 || rt != 1 {
		t.Errorf("a vetoed change is visible: %d, %d", l, rt)
	}
	st := r.Status()
	if st.Position != 1 || st.Rejected == nil || st.Rejected.Position != 2 || st.Rejected.Why != "too many" || st.Vetoes != 1 || st.State != readmodel.Live {
		t.Errorf("status %+v, rejected %+v", st, st.Rejected)
	}

	// Another change alone does not get in: what is tried is the newest state, and that still has the bad value.
	if err := r.TrySet(right.Value(3)); !errors.Is(err, errTooMany) {
		t.Errorf("got %v", err)
	}
	if since := r.Status().Rejected.Since; !since.Equal(st.Rejected.Since) {
		t.Error("the time of the first veto in a row was lost")
	}
	r.Set(left.Value(9))
	if l, rt := left.Get(r), right.Get(r); l != 9 || rt != 3 {
		t.Errorf("got %d, %d", l, rt)
	}
	if st := r.Status(); st.Rejected != nil || st.Position != 4 || st.Vetoes != 2 {
		t.Errorf("status %+v", st)
	}
	if told != 1 {
		t.Errorf("told %d changes, want one that has all", told)
	}
	if n := log.count("change vetoed"); n != 2 {
		t.Errorf("logged %d times, want once a veto", n)
	}
}

func TestVetoByPanicAndByTime(t *testing.T) {
	t.Parallel()
	r := readmodeltest.Open(t, readmodel.Config{PrepareTimeout: 20 * time.Millisecond}, left.Value(1))
	hang := make(chan struct{})
	var mu sync.Mutex
	var asked []int
	r.Prepare(func(_ context.Context, c readmodel.Change) error { // it does not heed its context
		n := left.Get(c.After)
		mu.Lock()
		asked = append(asked, n)
		mu.Unlock()
		switch n {
		case 2:
			panic("hunter2")
		case 3:
			<-hang
		}
		return nil
	})
	for n, want := range map[int]string{2: "panic with a string"} {
		if err := r.TrySet(left.Value(n)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%d: got %v", n, err)
		}
	}
	if err := r.TrySet(left.Value(3)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if err := r.TrySet(left.Value(4)); err == nil || !strings.Contains(err.Error(), "has not returned yet") {
		t.Errorf("got %v", err)
	}
	close(hang)
	testenv.Eventually(t, "the hook is free again", func() bool {
		r.Retry()
		return left.Get(r) == 4
	})
	mu.Lock()
	defer mu.Unlock()
	if len(asked) != 3 || asked[2] != 4 {
		t.Errorf("asked about %v, want 2, 3, 4", asked)
	}
}

// What is taken back needs nobody's consent, and a hook that goes away is not asked again.
func TestVetoEnds(t *testing.T) {
	t.Parallel()
	r := readmodeltest.New(t, left.Value(1))
	asked := 0
	stop := r.Prepare(func(context.Context, readmodel.Change) error { asked++; return errTooMany })
	if err := r.TrySet(left.Value(2)); !errors.Is(err, errTooMany) {
		t.Fatalf("got %v", err)
	}
	if err := r.TrySet(right.Value(2)); !errors.Is(err, errTooMany) {
		t.Fatalf("got %v", err)
	}
	stop()
	if err := r.WaitFor(soon(t), 3); err != nil || left.Get(r) != 2 || right.Get(r) != 2 {
		t.Errorf("got %d, %d, %v", left.Get(r), right.Get(r), err)
	}
	if asked != 2 {
		t.Errorf("asked %d times", asked)
	}
	r.Set(left.Value(3))
}

// A position that was shown as reached stays so when a later change is vetoed; those before the vetoed one are waited
// for in vain only if they are missing.
func TestWaitForBesideVeto(t *testing.T) {
	t.Parallel()
	p, r := start(t)
	p.beat(7) // another namespace's events
	waitFor(t, r, 7)
	r.Prepare(func(context.Context, readmodel.Change) error { return errTooMany })
	p.head.Position = 8
	pos := p.set("a", "2")
	if err := r.WaitFor(soon(t), pos); !errors.Is(err, errTooMany) {
		t.Errorf("got %v", err)
	}
	if err := r.WaitFor(soon(t), 7); err != nil {
		t.Errorf("position 7 was reached before: %v", err)
	}
	p.beat(20)
	if err := r.WaitFor(soon(t), 20); !errors.Is(err, errTooMany) {
		t.Errorf("got %v", err)
	}
	wantValue(t, r, "a", "1")
}

// The source reads on while a change is prepared, and Close does not wait.
func TestPrepareHoldsNothingUp(t *testing.T) {
	t.Parallel()
	r := readmodeltest.New(t, left.Value(1))
	entered := make(chan struct{})
	stopped := make(chan struct{})
	r.Prepare(func(ctx context.Context, _ readmodel.Change) error {
		close(entered)
		<-ctx.Done()
		close(stopped)
		return nil
	})
	done := make(chan error, 1)
	go func() { done <- r.TrySet(left.Value(2)) }()
	<-entered
	r.Disconnect() // returns when the source was heard
	if left.Get(r) != 1 {
		t.Error("shown before it was prepared")
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, readmodel.ErrClosed) {
		t.Errorf("got %v", err)
	}
	<-stopped
	if st := r.Status(); st.Rejected != nil {
		t.Errorf("the end of the reader counts as a veto: %+v", st.Rejected)
	}
}

// Whatever is vetoed: what is shown is a state that the namespace had and nobody objected to, positions never go back,
// and listeners see one state lead to the next.
func TestVetoedChangesAreNeverVisible(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := readmodeltest.New(t, left.Value(0), right.Value(0))
		defer r.Close()
		r.Prepare(atMost(50))
		var last readmodel.Changed
		r.OnChange(func(c readmodel.Changed) {
			for _, ch := range c.Changes {
				if ch.New != nil && ch.Key == "left" && len(ch.New.Value) == 2 && ch.New.Value > "50" {
					t.Errorf("told of %s", ch.New.Value)
				}
			}
			if c.Position <= last.Position {
				t.Errorf("told of %d after %d", c.Position, last.Position)
			}
			last = c
		})
		wantLeft, shown := 0, events.Position(1)
		wantRight, newestLeft := 0, 0
		for i := range rapid.IntRange(1, 8).Draw(rt, "changes") {
			values := []readmodel.Setting{right.Value(i + 1)}
			if rapid.Bool().Draw(rt, "left, too") {
				newestLeft = rapid.IntRange(10, 99).Draw(rt, "left")
				values = append(values, left.Value(newestLeft))
			}
			err := r.TrySet(values...)
			if (err == nil) != (newestLeft <= 50) {
				rt.Fatalf("left is %d: got %v", newestLeft, err)
			}
			if err == nil {
				wantLeft, wantRight, shown = newestLeft, i+1, events.Position(i+2)
			}
			s := r.Snapshot()
			if left.Get(s) != wantLeft || right.Get(s) != wantRight || s.Position() != shown {
				rt.Fatalf("got %d, %d at %d, want %d, %d at %d", left.Get(s), right.Get(s), s.Position(), wantLeft, wantRight, shown)
			}
		}
	})
}

// A value that is taken back after a veto needs nobody's consent: it is what is shown.
func TestTakenBackIsNotAsked(t *testing.T) {
	t.Parallel()
	r := readmodeltest.New(t, left.Value(1))
	asked := 0
	r.Prepare(func(context.Context, readmodel.Change) error { asked++; return errTooMany })
	if err := r.TrySet(left.Value(2)); !errors.Is(err, errTooMany) {
		t.Fatalf("got %v", err)
	}
	r.Set(left.Value(1))
	if st := r.Status(); asked != 1 || st.Position != 3 || st.Rejected != nil {
		t.Errorf("asked %d times, status %+v", asked, st)
	}
}

func TestDeliveredWaitsForAListenerThatRuns(t *testing.T) {
	t.Parallel()
	p, r := start(t)
	entered, hang := make(chan struct{}), make(chan struct{})
	r.OnChange(func(readmodel.Changed) { close(entered); <-hang })
	p.set("a", "2")
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := r.Delivered(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v while the listener runs", err)
	}
	close(hang)
	if err := r.Delivered(soon(t)); err != nil {
		t.Error(err)
	}
}
