package readmodel

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// puppet is a source that does what a test says.
type puppet struct {
	name     string
	sessions chan *session
}

type session struct {
	Sink
	ctx  context.Context
	have view.Head
	fail chan error
}

func newPuppet(name string) *puppet { return &puppet{name, make(chan *session)} }

func (p *puppet) Name() string { return p.name }
func (p *puppet) Close() error { return nil }

func (p *puppet) Follow(ctx context.Context, _ events.Namespace, have view.Head, sink Sink) error {
	s := &session{sink, ctx, have, make(chan error)}
	select {
	case p.sessions <- s:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-s.fail:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// next returns the session that begins within a minute.
func (p *puppet) next(t *testing.T) *session {
	t.Helper()
	select {
	case s := <-p.sessions:
		return s
	case <-time.After(time.Minute):
		t.Fatalf("%s is not asked", p.name)
		return nil
	}
}

// rests fails the test if the source is asked within a minute.
func (p *puppet) rests(t *testing.T) {
	t.Helper()
	select {
	case <-p.sessions:
		t.Fatalf("%s is asked", p.name)
	case <-time.After(time.Minute):
	}
}

// puppets runs a test on a reader over two puppets, in a time of its own.
func puppets(t *testing.T, test func(t *testing.T, r *Reader, redis, api *puppet)) {
	synctest.Test(t, func(t *testing.T) {
		redis, api := newPuppet("redis"), newPuppet("api")
		r := openOn(t, redis, api)
		defer r.Close()
		test(t, r, redis, api)
	})
}

// openOn returns a reader that follows sources.
func openOn(t *testing.T, sources ...Source) *Reader {
	t.Helper()
	r := quietReader("n")
	c := newChain("n", sources...)
	if err := c.join(r); err != nil {
		t.Fatal(err)
	}
	c.start()
	return r
}

func quietReader(ns events.Namespace) *Reader {
	return newReader(ns, Config{Logger: slog.New(slog.DiscardHandler), NoReports: true}.withDefaults())
}

// setTo is the change set at pos that gives "a" the value of its position.
func setTo(epoch string, prev, pos events.Position) view.ChangeSet {
	return view.ChangeSet{Epoch: epoch, Namespace: "n", Position: pos, Prev: prev, Changes: []view.Change{{Key: "a", Entry: entryAt(pos)}}}
}

func entryAt(pos events.Position) *Entry {
	return &Entry{Value: events.Value(view.StreamID(pos)), Position: pos}
}

func load(s *session, epoch string, pos events.Position) bool {
	return s.Load(view.Head{Epoch: epoch, Position: pos}, map[events.Key]Entry{"a": *entryAt(pos)})
}

func wantState(t *testing.T, r *Reader, state State, source string, pos events.Position) {
	t.Helper()
	st := r.Status()
	if st.State != state || st.Source != source || st.Position != pos || (st.Err == nil) != state.Fresh() {
		t.Errorf("got %s by %s at %d (%v), want %s by %s at %d", st.State, st.Source, st.Position, st.Err, state, source, pos)
	}
}

func TestChangesGoOnByTheNextSource(t *testing.T) {
	puppets(t, func(t *testing.T, r *Reader, redis, api *puppet) {
		var told []events.Position
		defer r.OnChange(func(c Changed) { told = append(told, c.Position) })()
		live := redis.next(t)
		load(live, "e", 1)
		live.Confirm(1, 1, time.Now())
		wantState(t, r, Live, "redis", 1)

		live.fail <- errors.New("gone")
		latest := api.next(t)
		wantState(t, r, Stale, "redis", 1)
		if latest.have.Position != 1 || latest.have.Epoch != "e" {
			t.Errorf("the api is asked from %+v", latest.have)
		}
		latest.Apply(setTo("e", 1, 2))
		latest.Confirm(2, 2, time.Now())
		wantState(t, r, Log, "api", 2)
		latest.Apply(setTo("e", 2, 4))

		back := redis.next(t)
		back.Apply(setTo("e", 1, 2)) // it was asked before the api had delivered anything
		back.Apply(setTo("e", 2, 4))
		back.Apply(setTo("e", 4, 5))
		latest.Apply(setTo("e", 4, 5)) // both deliver
		latest.Apply(setTo("e", 5, 7))
		back.Apply(setTo("e", 5, 7))
		back.Confirm(7, 7, time.Now())
		wantState(t, r, Live, "redis", 7)
		synctest.Wait()
		if latest.ctx.Err() == nil {
			t.Error("the api is followed on")
		}
		if diff := cmp.Diff([]events.Position{1, 2, 4, 5, 7}, told); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		api2 := make(chan struct{})
		go func() { defer close(api2); keepLive(r.ctx, back) }()
		api.rests(t)
		r.Close()
		<-api2
	})
}

// keepLive confirms until ctx ends.
func keepLive(ctx context.Context, s *session) {
	for ctx.Err() == nil {
		s.Confirm(7, 7, time.Now())
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

func TestDoubtAsksTheNextSource(t *testing.T) {
	puppets(t, func(t *testing.T, r *Reader, redis, api *puppet) {
		live := redis.next(t)
		load(live, "e", 1)
		began := time.Now()
		live.Doubt(errors.New("no heartbeat"))
		latest := api.next(t)
		if waited := time.Since(began); waited > maxTakeOver {
			t.Errorf("the api was asked after %s", waited)
		}
		latest.Confirm(1, 3, time.Now())
		wantState(t, r, Log, "api", 1)
		live.Doubt(errors.New("still none")) // changes nothing
		wantState(t, r, Log, "api", 1)
		if live.ctx.Err() != nil {
			t.Error("redis is not followed any more")
		}
		latest.fail <- errors.New("gone too")
		synctest.Wait()
		wantState(t, r, Stale, "api", 1)
		if err := r.Status().Err; !strings.Contains(err.Error(), "still none; gone too") {
			t.Errorf("got %v", err)
		}
		live.Confirm(3, 3, time.Now())
		wantState(t, r, Live, "redis", 1)
	})
}

// A source that hangs without knowing is found out by its silence.
func TestSilentSourceIsReplaced(t *testing.T) {
	puppets(t, func(t *testing.T, r *Reader, redis, api *puppet) {
		live := redis.next(t)
		load(live, "e", 1)
		live.Confirm(1, 1, time.Now())
		began := time.Now()
		latest := api.next(t)
		if waited := time.Since(began); waited < silence || waited > silence+maxTakeOver {
			t.Errorf("the api was asked after %s", waited)
		}
		latest.Confirm(1, 1, time.Now())
		wantState(t, r, Log, "api", 1)
	})
}

func TestHistoryThatIsOverIsRefused(t *testing.T) {
	puppets(t, func(t *testing.T, r *Reader, redis, api *puppet) {
		live := redis.next(t)
		load(live, "old", 9)
		live.Confirm(9, 9, time.Now())
		live.Doubt(errors.New("no heartbeat"))
		latest := api.next(t)
		load(latest, "new", 3)
		latest.Confirm(3, 3, time.Now())
		if load(live, "old", 9) {
			t.Error("a history that is over was loaded")
		}
		wantState(t, r, Log, "api", 3)
		if !load(live, "new", 3) {
			t.Error("the view of the new history was refused")
		}
		live.Confirm(3, 3, time.Now())
		synctest.Wait()
		wantState(t, r, Live, "redis", 3)
		if !load(live, "newest", 1) {
			t.Error("a source alone may change the history")
		}
	})
}

// Sources may be at positions between those of another's entries, where the view did not change.
func TestPositionsBetweenEntries(t *testing.T) {
	puppets(t, func(t *testing.T, r *Reader, redis, api *puppet) {
		live := redis.next(t)
		load(live, "e", 5)
		for _, c := range []struct {
			confirmed events.Position
			cs        view.ChangeSet
			want      bool
		}{
			{5, setTo("e", 3, 6), true},  // loaded as of 5, where the view did not change
			{6, setTo("e", 7, 8), false}, // the entry at 7 is missing
			{7, setTo("e", 7, 8), true},  // there was none: nothing up to 7 is missing
		} {
			live.Confirm(c.confirmed, c.confirmed, time.Now())
			if got := live.Apply(c.cs); got != c.want {
				t.Errorf("%d after %d, confirmed %d: got %t", c.cs.Position, c.cs.Prev, c.confirmed, got)
			}
		}
		if got := maps.Collect(r.Snapshot().All()); got["a"] != *entryAt(8) {
			t.Errorf("got %+v", got)
		}
	})
}

// Whoever waits for a position makes all sources look.
func TestAskedReachesEverySource(t *testing.T) {
	puppets(t, func(t *testing.T, r *Reader, redis, api *puppet) {
		live := redis.next(t)
		load(live, "e", 1)
		live.Doubt(errors.New("no heartbeat"))
		latest := api.next(t)
		waited := make(chan error)
		go func() { waited <- r.WaitFor(t.Context(), 2) }()
		<-live.Asked()
		<-latest.Asked()
		latest.Confirm(2, 2, time.Now())
		if err := <-waited; err != nil {
			t.Error(err)
		}
	})
}

// Readers that lose their Redis at one moment ask neither it nor the api together.
func TestManyReadersDoNotStampede(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const readers = 500
		redis, api := newPuppet("redis"), newPuppet("api")
		var live []*session
		for range readers {
			r := openOn(t, redis, api)
			defer r.Close()
			s := redis.next(t)
			load(s, "e", 1)
			s.Confirm(1, 1, time.Now())
			live = append(live, s)
		}
		for _, s := range live {
			s.fail <- errors.New("gone")
		}
		lost := time.Now()
		again, asked := map[time.Duration]int{}, map[time.Duration]int{} // in each 5 ms
		for range 2 * readers {
			select {
			case <-redis.sessions:
				again[time.Since(lost)/(5*time.Millisecond)]++
			case <-api.sessions:
				asked[time.Since(lost)/(5*time.Millisecond)]++
			}
		}
		for slot, n := range asked {
			if n > readers/20 {
				t.Errorf("%d readers ask the api %d ms after", n, slot*5)
			}
		}
		for slot, n := range again {
			if n > readers/2 {
				t.Errorf("%d readers ask redis again %d ms after", n, slot*5)
			}
		}
		if len(asked) < 20 || len(again) < 2 {
			t.Errorf("the api is asked in %d slots, redis in %d", len(asked), len(again))
		}
	})
}
