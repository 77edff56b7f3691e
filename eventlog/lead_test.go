package eventlog_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/internal/testenv"
)

// leading runs Lead until ctx ends, and reports terms as they begin.
func leading(ctx context.Context, log *eventlog.Log, active *atomic.Int32) (terms chan int64, ended chan error) {
	terms, ended = make(chan int64), make(chan error, 1)
	go func() {
		ended <- log.Lead(ctx, func(ctx context.Context, term int64) error {
			active.Add(1)
			terms <- term
			<-ctx.Done()
			active.Add(-1)
			return context.Cause(ctx)
		})
	}()
	return terms, ended
}

func within[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatalf("not within 20 s: %s", what)
		panic("unreachable")
	}
}

func TestLeadHandsOver(t *testing.T) {
	_, app := testenv.Database(t)
	var active atomic.Int32
	first, resign := context.WithCancel(t.Context())
	terms, ended := leading(first, open(t, eventlog.Config{URL: app}), &active)
	if term := within(t, "the first leads", terms); term != 1 {
		t.Errorf("got term %d, want 1", term)
	}
	second, end := context.WithCancel(t.Context())
	terms2, ended2 := leading(second, open(t, eventlog.Config{URL: app}), &active)
	resign()
	if err := within(t, "the first ends", ended); err != context.Canceled {
		t.Errorf("got %v, want lead's error", err)
	}
	if term := within(t, "the second leads", terms2); term != 2 || active.Load() != 1 {
		t.Errorf("got term %d with %d active, want 2 with 1", term, active.Load())
	}
	end()
	within(t, "the second ends", ended2)

	own := errors.New("own")
	if err := open(t, eventlog.Config{URL: app}).Lead(t.Context(), func(_ context.Context, term int64) error {
		if term != 3 {
			t.Errorf("got term %d, want 3", term)
		}
		return own
	}); err != own {
		t.Errorf("got %v, want lead's error", err)
	}
}

// A leader whose connection hangs stops leading, and another begins.
func TestLeadThroughHang(t *testing.T) {
	t.Parallel()
	_, app := testenv.Database(t)
	network := testenv.Proxy(t, app)
	var active atomic.Int32
	terms, ended := leading(t.Context(), open(t, eventlog.Config{URL: network.URL}), &active)
	within(t, "the first leads", terms)
	ctx, cancel := context.WithCancel(t.Context())
	terms2, ended2 := leading(ctx, open(t, eventlog.Config{URL: app}), &active)
	network.Hang()
	since := time.Now()
	if err := within(t, "the first stops", ended); !errors.Is(err, eventlog.ErrLockLost) {
		t.Errorf("got %v, want %v", err, eventlog.ErrLockLost)
	}
	if took := time.Since(since); took > 5*time.Second {
		t.Errorf("it went on leading for %s", took)
	}
	if term := within(t, "the second leads", terms2); term != 2 || active.Load() != 1 {
		t.Errorf("got term %d with %d active, want 2 with 1", term, active.Load())
	}
	cancel()
	within(t, "the second ends", ended2)
}

// A process that is stopped keeps its connection open and says nothing: the server's clock takes the lock from it. When
// it goes on, it finds out.
func TestLeadOfStoppedProcess(t *testing.T) {
	t.Parallel()
	_, app := testenv.Database(t)
	leader := exec.Command(os.Args[0])
	leader.Env = append(os.Environ(), leaderVariable+"="+app)
	leader.Stderr = os.Stderr
	out, err := leader.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := leader.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		leader.Process.Kill()
		leader.Wait()
	})
	said := bufio.NewScanner(out)
	next := func() string {
		said.Scan()
		return said.Text()
	}
	if got := next(); got != "leading 1" {
		t.Fatalf("the process says %q", got)
	}
	if err := leader.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var active atomic.Int32
	ctx, cancel := context.WithCancel(t.Context())
	terms, ended := leading(ctx, open(t, eventlog.Config{URL: app}), &active)
	if term := within(t, "another leads", terms); term != 2 {
		t.Errorf("got term %d, want 2", term)
	}
	if err := leader.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if got := next(); got != "lock lost" {
		t.Errorf("the process says %q", got)
	}
	cancel()
	within(t, "the other ends", ended)
}

// leaderVariable has the URL of the database in which this binary, instead of testing, leads and says so.
const leaderVariable = "HOLDFAST_TEST_LEAD"

func leadAlone(url string) {
	log, err := eventlog.Open(context.Background(), eventlog.Config{URL: url})
	if err != nil {
		panic(err)
	}
	defer log.Close()
	err = log.Lead(context.Background(), func(ctx context.Context, term int64) error {
		fmt.Println("leading", term)
		<-ctx.Done()
		return context.Cause(ctx)
	})
	if errors.Is(err, eventlog.ErrLockLost) {
		fmt.Println("lock lost")
	}
}
