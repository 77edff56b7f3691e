package readmodel_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"weak"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel"
)

// share opens a reader that shares the sources of another.
func share(t *testing.T, with *readmodel.Reader, cfg readmodel.Config) *readmodel.Reader {
	t.Helper()
	cfg.Share, cfg.Logger = with, slog.New(slog.DiscardHandler)
	r, err := readmodel.Open(soon(t), string(ns), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func TestReadersShareConnections(t *testing.T) {
	t.Parallel()
	_, p, first := startServer(t)
	all := []*readmodel.Reader{first}
	for range 20 {
		all = append(all, share(t, all[len(all)-1], readmodel.Config{}))
	}
	at := p.set("a", "2", "b", "1")
	for _, r := range all {
		waitFor(t, r, at)
		wantEqual(t, r, p)
		if st := r.Status(); st.Source != "redis" || st.Resyncs != 0 || st.Age != 0 {
			t.Errorf("status %+v", st)
		}
	}
	testenv.Eventually(t, "one connection for the stream and one for looks", func() bool { return p.connections() == 2 })

	first.Close()
	late := share(t, first, readmodel.Config{}) // others are open
	all = append(all, late)
	waitFor(t, late, p.set("a", "3"))
	wantEqual(t, late, p)
	wantValue(t, first, "a", "2")
	if st := first.Status(); !errors.Is(st.Err, readmodel.ErrClosed) {
		t.Errorf("status of a closed reader: %+v", st)
	}
	if n := p.connections(); n != 2 {
		t.Errorf("got %d connections, want 2", n)
	}
	var closing sync.WaitGroup
	for _, r := range all {
		closing.Go(func() { r.Close() })
	}
	closing.Wait()
	testenv.Eventually(t, "no connection", func() bool { return p.connections() == 0 })
	_, err := readmodel.Open(soon(t), string(ns), readmodel.Config{Share: late})
	if !errors.Is(err, readmodel.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

// A program that replaces its reader again and again, by one that shares the sources of the one before, does not keep them.
func TestSharingKeepsNoClosedReader(t *testing.T) {
	t.Parallel()
	url, rdb := testenv.Redis(t)
	p := newProjector(t, rdb)
	p.set("a", "1")
	cfg := readmodel.Config{Redis: url, Logger: slog.New(slog.DiscardHandler)}
	var gone []weak.Pointer[readmodel.Reader]
	for range 10 {
		r, err := readmodel.Open(soon(t), string(ns), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if cfg.Share != nil {
			cfg.Share.Close()
		}
		cfg.Redis, cfg.Share = "", r
		gone = append(gone, weak.Make(r))
	}
	defer cfg.Share.Close()
	wantValue(t, cfg.Share, "a", "1")
	testenv.Eventually(t, "only the last is kept", func() bool {
		runtime.GC()
		return !slices.ContainsFunc(gone[:len(gone)-1], func(w weak.Pointer[readmodel.Reader]) bool { return w.Value() != nil })
	})
}

func TestSharingIsRefused(t *testing.T) {
	t.Parallel()
	_, r := start(t)
	for name, c := range map[string]struct {
		ns   string
		cfg  readmodel.Config
		want string
	}{
		"another namespace":  {"payments", readmodel.Config{}, "Config.Share reads payments.prod"},
		"a redis of its own": {string(ns), readmodel.Config{Redis: "redis://127.0.0.1:1"}, "Redis, Source, API"},
		"a disk of its own":  {string(ns), readmodel.Config{SnapshotDir: t.TempDir()}, "SnapshotDir"},
	} {
		c.cfg.Share = r
		if _, err := readmodel.Open(soon(t), c.ns, c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want something with %q", name, err, c.want)
		}
	}
}

// What one reader vetoes, or is slow to take, the others show at once.
func TestSharingReadersDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	p, r := start(t)
	vetoing, slow, hung := share(t, r, readmodel.Config{}), share(t, r, readmodel.Config{}), share(t, r, readmodel.Config{})
	vetoing.Prepare(func(_ context.Context, c readmodel.Change) error {
		if e, _ := c.After.Get("a"); e.Value == "2" {
			return errors.New("no twos")
		}
		return nil
	})
	release := make(chan struct{})
	defer sync.OnceFunc(func() { close(release) })()
	slow.OnChange(func(readmodel.Changed) { <-release })
	hung.Prepare(func(context.Context, readmodel.Change) error { <-release; return nil })

	at := p.set("a", "2")
	for _, other := range []*readmodel.Reader{r, slow} {
		waitFor(t, other, at)
		wantValue(t, other, "a", "2")
	}
	var veto *readmodel.VetoError
	if err := vetoing.WaitFor(soon(t), at); !errors.As(err, &veto) || veto.Position != at {
		t.Errorf("got %v, want a veto of %d", err, at)
	}
	if st := vetoing.Status(); st.Rejected == nil || st.Position != 1 || st.State != readmodel.Live {
		t.Errorf("status of who vetoes: %+v", st)
	}
	if st := r.Status(); st.Rejected != nil || st.Vetoes != 0 {
		t.Errorf("status of who does not: %+v", st)
	}
	late := share(t, vetoing, readmodel.Config{}) // starts from what was delivered, not from what another shows
	wantValue(t, late, "a", "2")
	waitFor(t, vetoing, p.set("a", "3"))
	wantValue(t, hung, "a", "1")
}

func TestSharingReadersReportThemselves(t *testing.T) {
	t.Parallel()
	url, rdb := testenv.Redis(t)
	p := newProjector(t, rdb)
	p.set("a", "1")
	r := open(t, url)
	vetoing := share(t, r, readmodel.Config{Instance: "vetoing"})
	share(t, r, readmodel.Config{Instance: "silent", NoReports: true})
	vetoing.Prepare(func(context.Context, readmodel.Change) error { return errors.New("no") })
	waitFor(t, r, p.set("a", "2"))
	testenv.Eventually(t, "both are listed, and one says what it rejects", func() bool {
		p.beat(2)
		rejecting := 0
		all := p.instances()
		for _, in := range all {
			if in.Rejected != nil && in.Instance == "vetoing" {
				rejecting++
			}
		}
		return len(all) == 2 && rejecting == 1
	})
}

// Who joins while Redis is down starts with what the others show, unless it must be fresh.
func TestSharingWhileRedisIsDown(t *testing.T) {
	t.Parallel()
	server, p, r := startServer(t)
	waitFor(t, r, p.set("a", "2"))
	server.Kill()
	waitState(t, r, readmodel.Stale)
	late := share(t, r, readmodel.Config{})
	wantValue(t, late, "a", "2")
	st, want := late.Status(), r.Status()
	if st.State != readmodel.Stale || st.Err == nil || !st.LastContact.Equal(want.LastContact) || st.Head != want.Head {
		t.Errorf("status %+v, want that of the others: %+v", st, want)
	}
	fresh := readmodel.Config{Share: r, RequireFresh: true, Wait: 100 * time.Millisecond}
	if _, err := readmodel.Open(soon(t), string(ns), fresh); err == nil || !strings.Contains(err.Error(), "redis at") {
		t.Errorf("got %v, want an error that says what is wrong with redis", err)
	}
	server.Start()
	p.rebuild()
	at := p.set("a", "3")
	fresh.Wait = 0
	third, err := readmodel.Open(soon(t), string(ns), fresh)
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	for _, one := range []*readmodel.Reader{r, late, third} {
		waitFor(t, one, at)
		wantEqual(t, one, p)
		if n := one.Status().Resyncs; n != 0 {
			t.Errorf("got %d resyncs, want none", n)
		}
	}
}

// Readers that share watch the api once, and each says that it is the api.
func TestSharingTheAPI(t *testing.T) {
	t.Parallel()
	l := newLogged(t)
	l.set("a", "1")
	r, err := readmodel.Open(soon(t), string(ns), readmodel.Config{
		Redis: "redis://" + freeAddress(t), API: l.URL, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	late := share(t, r, readmodel.Config{RequireFresh: true})
	for _, one := range []*readmodel.Reader{r, late} {
		waitFor(t, one, l.set("a", "2"))
		if st := one.Status(); st.State != readmodel.Log || st.Source != "api" {
			t.Errorf("status %+v", st)
		}
	}
	if n := l.watchers.Load(); n != 1 {
		t.Errorf("the api was asked %d times, want once", n)
	}
}

// The snapshot on disk is the first reader's, and starts the others too.
func TestSharingTheDisk(t *testing.T) {
	t.Parallel()
	dir := writeDisk(t, "whole")
	server := testenv.RedisServer(t)
	p := newProjector(t, client(t, server.URL))
	p.set("a", "1")
	p.set("a", "2")
	server.Stop()
	wait := 50 * time.Millisecond
	r, err := readmodel.Open(soon(t), string(ns), readmodel.Config{
		Redis: server.URL, SnapshotDir: dir, Wait: wait, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	late := share(t, r, readmodel.Config{Wait: wait})
	wantValue(t, late, "a", "0")
	if st := late.Status(); st.State != readmodel.Disk || !st.LastContact.Equal(r.Status().LastContact) {
		t.Errorf("status %+v", st)
	}
	server.Continue()
	for _, one := range []*readmodel.Reader{r, late} {
		wantEqual(t, one, p)
		if n := one.Status().Resyncs; n != 0 {
			t.Errorf("got %d resyncs, want none", n)
		}
	}
}

// Readers that come and go share one that stays, while change sets pour in, connections are cut, the stream loses
// entries and Redis is emptied: none ever goes back or shows half a change set, and all end where the projector is.
func TestSharingReadersHoldFast(t *testing.T) {
	t.Parallel()
	server := testenv.RedisServer(t)
	p := newProjector(t, client(t, server.URL))
	p.set("left", "0", "right", "0")
	stays := open(t, server.URL)
	stop := make(chan struct{})
	var guests sync.WaitGroup
	for range 8 {
		guests.Go(func() {
			for !closed(stop) {
				visit(t, stays)
			}
		})
	}
	for i := range 300 {
		v := string(rune('1' + i%9))
		switch i % 50 {
		case 12:
			p.rdb.ClientKillByFilter(context.Background(), "SKIPME", "yes")
		case 25: // the stream loses an entry
			p.atomically(func(tx redis.Pipeliner) {
				p.add(tx, "left", v, "right", v)
				p.add(tx, "right", v, "left", v)
				tx.XDel(context.Background(), streamKey, streamID(p.head.Position-1))
			})
			p.beat(p.head.Position)
		case 37:
			p.rdb.FlushDB(context.Background())
			p.rebuild()
		case 49: // with a pause in which readers can follow
			waitFor(t, stays, p.head.Position)
		}
		p.set("left", v, "right", v)
	}
	last := share(t, stays, readmodel.Config{})
	close(stop)
	guests.Wait()
	for _, r := range []*readmodel.Reader{stays, last} {
		waitFor(t, r, p.head.Position)
		wantEqual(t, r, p)
	}
	if stays.Status().Resyncs == 0 {
		t.Error("the view was never loaded anew: the test has not tested that")
	}
}

// visit opens a reader, looks at what it shows for a while, and closes it.
func visit(t *testing.T, with *readmodel.Reader) {
	r, err := readmodel.Open(t.Context(), string(ns), readmodel.Config{Share: with, Logger: slog.New(slog.DiscardHandler), NoReports: true})
	if err != nil {
		t.Error(err)
		return
	}
	defer r.Close()
	var told events.Position
	defer r.OnChange(func(c readmodel.Changed) {
		if c.Position < told {
			t.Errorf("told %d after %d", c.Position, told)
		}
		told = c.Position
	})()
	var last events.Position
	for range 200 + rand.IntN(2000) {
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
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
