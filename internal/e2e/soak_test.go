package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// How long the soak lasts, and which faults it draws: HOLDFAST_SOAK_TIME=10m HOLDFAST_SOAK_SEED=42 runs a failed one again.
const (
	soakTime    = "HOLDFAST_SOAK_TIME"
	soakSeed    = "HOLDFAST_SOAK_SEED"
	soakLength  = 20 * time.Second
	soakReaders = 50
	soakLooks   = 10_000_000 // in soakLength; fewer in less
)

// soak is a system whose readers have two sources, each over a network of its own, and all of it fails at random.
type soak struct {
	*system
	random   *rand.Rand
	redisNet *testenv.Network
	apiNet   *testenv.Network
	load     *load
}

// fault breaks something; what it returns mends it.
type fault struct {
	name   string
	breaks func(s *soak) (mend func())
}

func nothing() {}

var faults = []fault{
	{"redis killed", func(s *soak) func() { s.redis.Kill(); return s.redis.Start }},
	{"redis stopped", func(s *soak) func() { s.redis.Stop(); return s.redis.Continue }},
	{"redis flushed", func(s *soak) func() { s.must(s.rdb.FlushAll(s.t.Context()).Err()); return nothing }},
	{"redis cut off", func(s *soak) func() { s.redisNet.Cut(); return s.redisNet.Restore }},
	{"redis unheard", func(s *soak) func() { s.redisNet.Hang(); return s.redisNet.Restore }},
	{"streams trimmed past cut off readers", func(s *soak) func() {
		s.redisNet.Cut()
		return func() { s.trim(); s.redisNet.Restore() }
	}},
	{"api killed", func(s *soak) func() { s.apis[0].kill(); return s.apis[0].run }},
	{"api stopped", func(s *soak) func() {
		s.apis[0].signal(syscall.SIGSTOP)
		return func() { s.apis[0].signal(syscall.SIGCONT) }
	}},
	{"api cut off", func(s *soak) func() { s.apiNet.Cut(); return s.apiNet.Restore }},
	{"api unheard", func(s *soak) func() { s.apiNet.Hang(); return s.apiNet.Restore }},
	{"redis and api killed", func(s *soak) func() {
		s.redis.Kill()
		s.apis[0].kill()
		return func() { s.redis.Start(); s.apis[0].run() }
	}},
	{"redis killed, then api cut off and on", func(s *soak) func() {
		s.redis.Kill()
		s.wait(time.Second)
		s.apiNet.Cut()
		s.wait(time.Second / 2)
		s.apiNet.Restore()
		return s.redis.Start
	}},
}

func (s *soak) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *soak) trim() {
	for _, ns := range []events.Namespace{parent, child} {
		s.must(s.rdb.XTrimMaxLen(s.t.Context(), view.ChangesKey(ns), 1).Err())
	}
}

func (s *soak) wait(d time.Duration) { <-time.After(d) }

// Whatever fails, and in whatever order, no reader goes back, shows half a change or is told a change twice or not at
// all; in the end each equals the log.
func TestSoak(t *testing.T) {
	seed, length := soakSettings(t)
	t.Logf("to run this again: %s=%d %s=%s", soakSeed, seed, soakTime, length)
	system := newSystem(t, 1)
	s := &soak{system: system, random: rand.New(rand.NewPCG(seed, 0))}
	s.projector()
	s.redisNet, s.apiNet = testenv.Proxy(t, s.redis.URL), testenv.Proxy(t, s.apis[0].url)
	from := createPairs(t, s.apis[0].url, parent, child)
	readers, told := s.readers(from)
	s.load = startLoadAt(t, 20*time.Millisecond, 2, s.apis, parent, child)
	s.changesGoOnWithoutRedis(readers)
	for end := time.Now().Add(length); time.Now().Before(end); {
		f := faults[s.random.IntN(len(faults))]
		t.Logf("%s: %s", time.Until(end).Round(time.Millisecond), f.name)
		mend := f.breaks(s)
		s.wait(time.Duration(s.random.IntN(2_000)) * time.Millisecond)
		mend()
		s.wait(time.Duration(s.random.IntN(1_000)) * time.Millisecond)
	}
	flowing(t, s.load, 50)
	enough := int64(float64(soakLooks) * min(1, length.Seconds()/soakLength.Seconds()))
	testenv.Eventually(t, fmt.Sprintf("%d looks at the readers", enough), func() bool { return looks(readers) >= enough })
	s.load.stop()
	equalsLog(t, s.log, s.rdb, readers...)
	resyncs := 0
	for i, w := range readers {
		testenv.Eventually(t, "each reader was told of what it shows", func() bool { return told[i].position() == w.Snapshot().Position() })
		resyncs += w.Status().Resyncs
		w.end(t)
		told[i].check(t)
	}
	t.Logf("seed %d: %d change sets, %d looks, %d resyncs", seed, s.load.count(), looks(readers), resyncs)
}

// looks is how many there were at all of the readers.
func looks(readers []*watcher) (n int64) {
	for _, w := range readers {
		n += w.looks.Load()
	}
	return n
}

// changesGoOnWithoutRedis: every reader shows what is posted while Redis is down, live, from the log.
func (s *soak) changesGoOnWithoutRedis(readers []*watcher) {
	s.t.Helper()
	s.redis.Kill()
	flowing(s.t, s.load, 20)
	head, err := s.log.Head(s.t.Context())
	s.must(err)
	for _, w := range readers {
		if err := w.WaitFor(s.t.Context(), head.Position); err != nil {
			s.t.Fatal(err)
		}
		testenv.Eventually(s.t, "each reader reads the log", func() bool { return w.Status().State == readmodel.Log })
	}
	s.redis.Start()
	for _, w := range readers {
		testenv.Eventually(s.t, "each reader is back at redis", func() bool { return w.Status().State == readmodel.Live })
	}
}

func soakSettings(t *testing.T) (seed uint64, length time.Duration) {
	seed, length = rand.Uint64(), soakLength
	var err error
	if text := os.Getenv(soakSeed); text != "" {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", soakSeed, err)
		}
	}
	if text := os.Getenv(soakTime); text != "" {
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatalf("%s: %v", soakTime, err)
		}
	}
	return seed, length
}

func (s *soak) readers(from events.Position) (readers []*watcher, told []*listener) {
	dir := s.t.TempDir()
	for n := range soakReaders {
		ns := []events.Namespace{parent, child}[n%2]
		w := watchBy(s.t, readmodel.Config{Redis: s.redisNet.URL, API: s.apiNet.URL, SnapshotDir: dir}, ns, from, 5*time.Millisecond, 64)
		l := &listener{}
		w.OnChange(l.hear)
		readers, told = append(readers, w), append(told, l)
	}
	return readers, told
}

// listener checks that what it is told leads from each state to the next.
type listener struct {
	mu   sync.Mutex
	at   events.Position
	last map[events.Key]readmodel.Entry
	errs []string
}

func (l *listener) hear(c readmodel.Changed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == nil {
		l.last = map[events.Key]readmodel.Entry{}
	}
	if c.Position < l.at || c.Position == l.at && !c.Resynced {
		l.errs = append(l.errs, fmt.Sprintf("told of %d after %d", c.Position, l.at))
	}
	l.at = c.Position
	for _, ch := range c.Changes {
		if was, ok := l.last[ch.Key]; ok && (ch.Old == nil || *ch.Old != was) {
			l.errs = append(l.errs, fmt.Sprintf("at %d: %s was %s, told %+v", c.Position, ch.Key, was.Value, ch.Old))
		}
		if ch.New == nil {
			l.errs = append(l.errs, fmt.Sprintf("at %d: %s vanished", c.Position, ch.Key))
			continue
		}
		l.last[ch.Key] = *ch.New
	}
}

func (l *listener) position() events.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at
}

func (l *listener) check(t *testing.T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, err := range l.errs[:min(3, len(l.errs))] {
		t.Error(err)
	}
	if len(l.last) == 0 {
		t.Error("a reader was told of nothing: the test has not tested that")
	}
}
