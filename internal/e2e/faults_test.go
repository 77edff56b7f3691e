package e2e

import (
	"slices"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

const (
	parent = events.Namespace("postgres")
	child  = events.Namespace("postgres.main")
)

// system is the programs, over a database and a Redis process of this test's own.
type system struct {
	t        *testing.T
	database string
	log      *eventlog.Log
	redis    *testenv.Server
	rdb      *redis.Client
	apis     []*process
}

func newSystem(t *testing.T, apis int) *system {
	t.Helper()
	t.Parallel()
	_, database := testenv.Database(t)
	s := &system{t: t, database: database, redis: testenv.RedisServer(t)}
	opts, err := redis.ParseURL(s.redis.URL)
	if err != nil {
		t.Fatal(err)
	}
	s.rdb = redis.NewClient(opts)
	t.Cleanup(func() { s.rdb.Close() })
	if s.log, err = eventlog.Open(t.Context(), eventlog.Config{URL: database}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.log.Close)
	for range apis {
		s.apis = append(s.apis, start(t, "api", "--database", database, "--redis", s.redis.URL))
	}
	return s
}

func (s *system) projector() *process {
	s.t.Helper()
	return start(s.t, "projector", "--database", s.database, "--redis", s.redis.URL)
}

// flowing waits until n more change sets are acknowledged: the load goes on whatever was just broken.
func flowing(t *testing.T, l *load, n int) {
	t.Helper()
	want := l.count() + n
	testenv.Eventually(t, "the load goes on", func() bool { return l.count() >= want })
}

type projectorReady struct {
	Active   bool  `json:"active"`
	Term     int64 `json:"term"`
	Position int64 `json:"position"`
}

func (p *process) projector() projectorReady {
	var r projectorReady
	p.get("/readyz", &r)
	return r
}

func TestProjectorKilledUnderLoad(t *testing.T) {
	s := newSystem(t, 1)
	projector := s.projector()
	from := createPairs(t, s.apis[0].url, parent, child)
	readers := []*watcher{watch(t, s.redis.URL, parent, from), watch(t, s.redis.URL, child, from)}
	l := startLoad(t, 8, s.apis, parent, child)
	for range 3 {
		flowing(t, l, 100)
		projector.kill()
		flowing(t, l, 100)
		projector.run()
	}
	flowing(t, l, 100)
	l.stop()
	equalsLog(t, s.log, s.rdb, readers...)
}

func TestRedisFlushedUnderLoad(t *testing.T) {
	s := newSystem(t, 1)
	s.projector()
	from := createPairs(t, s.apis[0].url, parent, child)
	readers := []*watcher{watch(t, s.redis.URL, parent, from), watch(t, s.redis.URL, child, from)}
	l := startLoad(t, 8, s.apis, parent, child)
	for range 3 {
		flowing(t, l, 100)
		if err := s.rdb.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
	flowing(t, l, 100)
	l.stop()
	equalsLog(t, s.log, s.rdb, readers...)

	if err := s.rdb.FlushAll(t.Context()).Err(); err != nil { // nothing is posted now: the views come back all the same
		t.Fatal(err)
	}
	for _, ns := range []events.Namespace{parent, child} {
		testenv.Eventually(t, "the view of "+string(ns)+" is back", func() bool {
			_, err := view.LoadHead(t.Context(), s.rdb, ns)
			return err == nil
		})
	}
	equalsLog(t, s.log, s.rdb, readers...)
}

func TestRedisKilledUnderLoad(t *testing.T) {
	s := newSystem(t, 1)
	s.projector()
	from := createPairs(t, s.apis[0].url, parent, child)
	readers := []*watcher{watch(t, s.redis.URL, parent, from), watch(t, s.redis.URL, child, from)}
	l := startLoad(t, 8, s.apis, parent, child)
	flowing(t, l, 100)
	s.redis.Kill()
	flowing(t, l, 100)
	s.redis.Start() // empty
	flowing(t, l, 100)
	s.redis.Stop()
	flowing(t, l, 100)
	s.redis.Continue()
	flowing(t, l, 100)
	l.stop()
	equalsLog(t, s.log, s.rdb, readers...)
}

func TestStoppedProjectorIsFenced(t *testing.T) {
	s := newSystem(t, 1)
	projectors := []*process{s.projector(), s.projector()}
	from := createPairs(t, s.apis[0].url, parent, child)
	readers := []*watcher{watch(t, s.redis.URL, parent, from), watch(t, s.redis.URL, child, from)}
	var first int
	testenv.Eventually(t, "one projector is active", func() bool {
		first = slices.IndexFunc(projectors, func(p *process) bool { return p.projector().Active })
		return first >= 0
	})
	active, standby := projectors[first], projectors[1-first]
	if standby.projector().Active {
		t.Fatal("both projectors are active")
	}
	l := startLoad(t, 8, s.apis, parent, child)
	flowing(t, l, 100)
	oldTerm := active.projector().Term

	active.signal(syscall.SIGSTOP)
	testenv.Eventually(t, "the other takes over", func() bool { return standby.projector().Active })
	newTerm := standby.projector().Term
	if newTerm <= oldTerm {
		t.Fatalf("new term %d is not after %d", newTerm, oldTerm)
	}
	flowing(t, l, 200)
	active.signal(syscall.SIGCONT)
	testenv.Eventually(t, "the old one stands by", func() bool { return !active.projector().Active })
	flowing(t, l, 200)
	l.stop()
	equalsLog(t, s.log, s.rdb, readers...)
	for _, ns := range []events.Namespace{parent, child} {
		head, err := view.LoadHead(t.Context(), s.rdb, ns)
		if err != nil || head.Term != newTerm {
			t.Errorf("view of %s has term %d (%v), want %d", ns, head.Term, err, newTerm)
		}
	}
	if !standby.projector().Active {
		t.Error("the new projector lost its term when the old one came back")
	}
}

func TestTwoApisGaplessUnderKills(t *testing.T) {
	s := newSystem(t, 2)
	s.projector()
	spaces := []events.Namespace{parent, child, "other", "third"}
	from := createPairs(t, s.apis[0].url, parent, child)
	createPairs(t, s.apis[1].url, "other")
	createPairs(t, s.apis[1].url, "third")
	readers := []*watcher{watch(t, s.redis.URL, parent, from), watch(t, s.redis.URL, child, from)}
	l := startLoad(t, 64, s.apis, spaces...)
	flowing(t, l, 300)
	s.apis[0].kill()
	flowing(t, l, 300)
	s.apis[0].run()
	flowing(t, l, 300)
	acked := l.stop()

	equalsLog(t, s.log, s.rdb, readers...)
	stored := gapless(t, s.log)
	for _, a := range acked {
		if a.Events > 0 && stored[a.Position] != (at{a.Namespace, a.Revision}) {
			t.Errorf("acknowledged %+v; the log has %+v there", a, stored[a.Position])
		}
	}
	t.Logf("%d change sets acknowledged, %d answers lost and asked again, %d events", len(acked), l.lost.Load(), len(stored))
}

type at struct {
	namespace events.Namespace
	revision  events.Revision
}

// gapless reads the whole log and fails on a gap in positions or in a namespace's revisions.
func gapless(t *testing.T, log *eventlog.Log) map[events.Position]at {
	t.Helper()
	stored := map[events.Position]at{}
	revisions := map[events.Namespace]events.Revision{}
	var last events.Position
	for {
		evs, err := log.Read(t.Context(), eventlog.Query{After: last})
		if err != nil {
			t.Fatal(err)
		}
		if len(evs) == 0 {
			return stored
		}
		for _, ev := range evs {
			if ev.Position != last+1 {
				t.Fatalf("position %d follows %d", ev.Position, last)
			}
			if rev := revisions[ev.Namespace]; ev.Revision != rev && ev.Revision != rev+1 {
				t.Fatalf("revision %d of %s follows %d", ev.Revision, ev.Namespace, rev)
			}
			last, revisions[ev.Namespace] = ev.Position, ev.Revision
			stored[ev.Position] = at{ev.Namespace, ev.Revision}
		}
	}
}
