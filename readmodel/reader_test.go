package readmodel_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel"
)

func TestReaderFollowsChanges(t *testing.T) {
	t.Parallel()
	p, r := start(t)
	if st := r.Status(); st.State != readmodel.Live || st.Age != 0 || st.Err != nil || st.Source != "redis" || st.Head != 1 {
		t.Errorf("status after open: %+v", st)
	}
	before := r.Snapshot()

	waitFor(t, r, p.set("a", "2", "b", `"new"`))
	wantEqual(t, r, p)
	wantValue(t, r, "a", "2")
	if e, _ := before.Get("a"); e.Value != "1" || before.Position() != 1 || before.Len() != 1 {
		t.Errorf("an older snapshot has changed: %+v", e)
	}

	waitFor(t, r, p.set("a", ""))
	if _, ok := r.Get("a"); ok {
		t.Error("a key that was taken away is still there")
	}
	waitFor(t, r, p.set()) // a change set without effective changes
	wantEqual(t, r, p)
	if n := r.Status().Resyncs; n != 0 {
		t.Errorf("got %d resyncs, want none", n)
	}
}

// A reader that starts at a view with a long stream behind it, or while changes pour in, starts at the view's position.
func TestOpenDuringChanges(t *testing.T) {
	t.Parallel()
	url, rdb := testenv.Redis(t)
	p := newProjector(t, rdb)
	p.set("a", "0")
	var changes sync.WaitGroup
	changes.Go(func() {
		for range 300 {
			p.set("a", "1")
		}
	})
	var readers []*readmodel.Reader
	for range 5 {
		readers = append(readers, open(t, url))
	}
	changes.Wait()
	for _, r := range readers {
		waitFor(t, r, p.head.Position)
		wantEqual(t, r, p)
		if n := r.Status().Resyncs; n != 0 {
			t.Errorf("got %d resyncs, want none", n)
		}
	}
}

func TestWaitForAnotherNamespacesPosition(t *testing.T) {
	t.Parallel()
	p, r := start(t)
	done := make(chan error, 1)
	go func() { done <- r.WaitFor(soon(t), 1000) }()
	select {
	case err := <-done:
		t.Fatalf("position 1000 was never written: %v", err)
	case <-time.After(150 * time.Millisecond):
	}
	p.beat(1000)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for pos := events.Position(1001); pos <= 1010; pos++ {
		p.beat(pos)
		waitFor(t, r, pos)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("ten times took %s, as if nobody had asked", took)
	}
	if st := r.Status(); st.Position != 1 || st.Head != 1010 {
		t.Errorf("status: %+v", st)
	}
}

func TestWaitForEnds(t *testing.T) {
	t.Parallel()
	_, r := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.WaitFor(ctx, 99); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "position 99, at 1") {
		t.Errorf("got %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- r.WaitFor(t.Context(), 99) }()
	r.Close()
	if err := <-done; !errors.Is(err, readmodel.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	if err := r.WaitFor(t.Context(), 1); err != nil {
		t.Errorf("what a closed reader shows needs no waiting: %v", err)
	}
}

func TestCloseKeepsServing(t *testing.T) {
	t.Parallel()
	p, r := start(t)
	var closing sync.WaitGroup
	for range 4 {
		closing.Go(func() {
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	closing.Wait()
	p.set("a", "2")
	wantValue(t, r, "a", "1")
	if st := r.Status(); st.State != readmodel.Stale || !errors.Is(st.Err, readmodel.ErrClosed) {
		t.Errorf("status after close: %+v", st)
	}
}

func TestConnections(t *testing.T) {
	t.Parallel()
	_, p, r := startServer(t)
	for range 5 { // reconnecting and aligning anew leave nothing behind
		p.rdb.ClientKillByFilter(context.Background(), "SKIPME", "yes")
		waitFor(t, r, p.set("a", "2"))
		p.atomically(func(tx redis.Pipeliner) {
			p.add(tx, "a", "3")
			p.add(tx, "a", "4")
			tx.XTrimMaxLen(context.Background(), streamKey, 1)
		})
		waitFor(t, r, p.head.Position)
	}
	testenv.Eventually(t, "one connection for the stream and one for looks", func() bool { return p.connections() == 2 })
	r.Close()
	testenv.Eventually(t, "no connection", func() bool { return p.connections() == 0 })
}

// connections is how many readers have to the projector's Redis.
func (p *projector) connections() int {
	p.t.Helper()
	list, err := p.rdb.ClientList(context.Background()).Result()
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.Count(list, " name= ") // the test's own have one
}

func TestOpenWaitsForTheView(t *testing.T) {
	t.Parallel()
	url, rdb := testenv.Redis(t)
	opened := make(chan *readmodel.Reader)
	go func() { opened <- open(t, url) }()
	select {
	case <-opened:
		t.Fatal("opened without a view")
	case <-time.After(100 * time.Millisecond):
	}
	newProjector(t, rdb).set("a", "1")
	wantValue(t, <-opened, "a", "1")
}

// A view is served although no projector says that it is up to date; the status says so.
func TestOpenWithoutProjector(t *testing.T) {
	t.Parallel()
	url, rdb := testenv.Redis(t)
	p := newProjector(t, rdb)
	p.atomically(func(tx redis.Pipeliner) { p.add(tx, "a", "1") })
	r := open(t, url)
	wantValue(t, r, "a", "1")
	if st := r.Status(); st.State != readmodel.Stale || st.Err == nil || st.Age == 0 || !st.LastContact.IsZero() {
		t.Errorf("status: %+v", st)
	}
	p.beat(1)
	waitState(t, r, readmodel.Live)
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	empty, _ := testenv.Redis(t)
	other, rdb := testenv.Redis(t)
	newProjector(t, rdb).beat(7)
	hung := testenv.RedisServer(t)
	hung.Stop()
	for name, c := range map[string]struct {
		ns, url string
		want    []string
	}{
		"down":         {"x", "redis://:hunter2@" + freeAddress(t), []string{"open x", "redis at 127.0.0.1", "refused"}},
		"hung":         {"x", hung.URL, []string{"redis at 127.0.0.1", "timeout"}},
		"no projector": {"x", empty, []string{"redis at", "neither a view of x nor a projector's heartbeat"}},
		"no namespace": {"x.y", other, []string{"no view of x.y", "does not exist", "at 7 of 7"}},
		"bad name":     {"Pay/ments", empty, []string{`namespace "Pay/ments"`}},
		"no source":    {"x", "", []string{"open x", "Config.Redis", "Config.Source"}},
		"bad url":      {"x", "http://:hunter2@localhost", []string{"open x"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
			defer cancel()
			_, err := readmodel.Open(ctx, c.ns, readmodel.Config{Redis: c.url, Logger: slog.New(slog.DiscardHandler)})
			if err == nil {
				t.Fatal("opened")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want something with %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the password is in %q", err)
			}
		})
	}
}

// A view is in one slot and the heartbeat in another.
func TestCluster(t *testing.T) {
	t.Parallel()
	server := testenv.RedisServer(t, "--cluster-enabled", "yes")
	rdb := client(t, server.URL)
	if err := rdb.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the cluster is up", func() bool {
		info, _ := rdb.ClusterInfo(t.Context()).Result()
		return strings.Contains(info, "cluster_state:ok")
	})
	p := newProjector(t, rdb)
	p.set("a", "1")
	address := rdb.Options().Addr
	r := open(t, "redis://"+address+"?addr="+address)
	waitFor(t, r, p.set("a", "2"))
	wantEqual(t, r, p)
}

// freeAddress is one at which nothing listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Each change set gives two keys the same value, and now and then the view is loaded anew: no snapshot ever shows them
// apart, and none is older than one before.
func TestSnapshotsAreWholeAndNeverGoBack(t *testing.T) {
	t.Parallel()
	url, rdb := testenv.Redis(t)
	p := newProjector(t, rdb)
	p.set("left", "0", "right", "0")
	r := open(t, url)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			var last events.Position
			for reads := 0; ; reads++ {
				s := r.Snapshot()
				left, _ := s.Get("left")
				right, _ := s.Get("right")
				if left.Value != right.Value || left.Position != s.Position() {
					t.Errorf("at %d: left %+v, right %+v", s.Position(), left, right)
				}
				if s.Position() < last {
					t.Errorf("went back from %d to %d", last, s.Position())
				}
				last = s.Position()
				select {
				case <-stop:
					if reads < 1000 {
						t.Errorf("only %d reads", reads)
					}
					return
				default:
				}
			}
		})
	}
	for i := range 400 {
		v := string(rune('1' + i%9))
		if i%50 == 49 { // the stream loses an entry
			p.atomically(func(tx redis.Pipeliner) {
				p.add(tx, "left", v, "right", v)
				p.add(tx, "right", v, "left", v)
				tx.XDel(context.Background(), streamKey, streamID(p.head.Position-1))
			})
			p.beat(p.head.Position)
			continue
		}
		p.set("left", v, "right", v)
	}
	waitFor(t, r, p.head.Position)
	close(stop)
	readers.Wait()
	wantEqual(t, r, p)
	if r.Status().Resyncs == 0 {
		t.Error("the view was never loaded anew: the test has not tested that")
	}
}
