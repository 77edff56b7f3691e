package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
)

func TestAppend(t *testing.T) {
	log := testenv.Log(t)
	created := events.NamespaceCreated{Open: true, Description: "d", Labels: map[string]string{"team": "x"}}
	got := []eventlog.Appended{
		mustAppend(t, log, "a", created, set("k", 1)),
		mustAppend(t, log, "b", created),
		mustAppend(t, log, "a", set("k", 2), events.ValueUnset{Key: "k"}, events.KeyRemoved{Key: "k"}),
		mustAppend(t, log, "a"), // changes nothing
	}
	want := []eventlog.Appended{
		{Namespace: "a", Revision: 1, Position: 2, Events: 2},
		{Namespace: "b", Revision: 1, Position: 3, Events: 1},
		{Namespace: "a", Revision: 2, Position: 6, Events: 3},
		{Namespace: "a", Revision: 2, Position: 6},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(eventlog.Appended{}, "Time")); diff != "" {
		t.Error(diff)
	}
	all := readAll(t, log)
	rec := func(pos events.Position, ns events.Namespace, rev events.Revision, ev events.Event) events.Recorded {
		return events.Recorded{Position: pos, Namespace: ns, Revision: rev, Actor: "ann", Reason: "because", Event: ev}
	}
	wantLog := []events.Recorded{
		rec(1, "a", 1, created),
		rec(2, "a", 1, set("k", 1)),
		rec(3, "b", 1, created),
		rec(4, "a", 2, set("k", 2)),
		rec(5, "a", 2, events.ValueUnset{Key: "k"}),
		rec(6, "a", 2, events.KeyRemoved{Key: "k"}),
	}
	if diff := cmp.Diff(wantLog, all, cmpopts.IgnoreFields(events.Recorded{}, "Time")); diff != "" {
		t.Error(diff)
	}
	head, err := log.Head(t.Context())
	if err != nil || head.Position != 6 || !head.Time.Equal(all[5].Time) || !got[3].Time.Equal(head.Time) || got[0].Time.After(got[1].Time) {
		t.Errorf("head %v, %v does not fit the answers %v", head, err, got)
	}
}

// Each batch is decided in order: a change set sees those before it, one that is refused or broken is alone in it.
func TestBatch(t *testing.T) {
	log := testenv.Log(t)
	mustAppend(t, log, "a", created)
	refusal := errors.New("no")
	errs := make([]error, 6)
	answers := make([]eventlog.Appended, 6)
	post := func(i int, req eventlog.Request, decide eventlog.Decide) func() {
		return func() { answers[i], errs[i] = log.Append(context.Background(), req, decide) }
	}
	spoilt := request("a")
	spoilt.Reason = "not a \x00 text" // which only the database finds out
	var saw events.Revision
	var present config.Tree
	together(t, log,
		post(0, request("a"), these(set("k", 1))),
		post(1, request("a"), func(config.Tree) ([]events.Event, error) { return nil, refusal }),
		post(2, request("a"), func(config.Tree) ([]events.Event, error) { panic("a value") }),
		post(3, spoilt, these(set("k", 2))),
		post(4, request("a"), these(make([]events.Event, events.MaxChangeSetCommands+2)...)),
		func() { present, _ = log.Present(context.Background(), "a") },
		post(5, request("a"), func(t config.Tree) ([]events.Event, error) {
			ns, _ := t.Namespace("a")
			saw = ns.Revision
			return []events.Event{set("k", 3)}, nil
		}),
	)
	if errs[0] != nil || errs[5] != nil {
		t.Errorf("good change sets were refused: %v, %v", errs[0], errs[5])
	}
	if errs[1] != refusal {
		t.Errorf("got %v, want decide's own error", errs[1])
	}
	for _, i := range []int{2, 3, 4} {
		if errs[i] == nil || errors.Is(errs[i], eventlog.ErrUnknown) {
			t.Errorf("change set %d: got %v", i, errs[i])
		}
	}
	if saw != 2 || answers[5].Revision != 3 {
		t.Errorf("the last saw revision %d and became %d, want 2 and 3", saw, answers[5].Revision)
	}
	if all := readAll(t, log); len(all) != 3 {
		t.Errorf("got %d events, want 3", len(all))
	}
	if at := present.Position(); at < 2 || at > 3 {
		t.Errorf("the present was as of %d", at)
	}
}

// While one change set is being stored, the next is decided as if it were. If it is not, the next is decided anew.
func TestDecidedAhead(t *testing.T) {
	foreign := func(t *testing.T, tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `
			WITH moved AS (UPDATE head SET position = position + 1 RETURNING position, at)
			INSERT INTO events (position, namespace, revision, type, key, data, actor, reason, at)
			SELECT position, 'a', 2, 'value.set.v1', 'k', '{"value":9}', 'bob', '', at FROM moved`)
		return err
	}
	ifFirst := func(t config.Tree) ([]events.Event, error) {
		if ns, _ := t.Namespace("a"); ns.Revision != 1 {
			return nil, errors.New("another was first")
		}
		return []events.Event{set("k", 1)}, nil
	}
	for name, test := range map[string]struct {
		first   eventlog.Decide
		between func(t *testing.T, tx pgx.Tx) error // before the first can be stored
		refused bool                                // the first
		saw     []string                            // the second, each time it was decided: revision and value
	}{
		"stored":                  {first: these(set("k", 1)), saw: []string{"2 1"}},
		"behind another":          {first: these(set("k", 1)), between: foreign, saw: []string{"2 1", "3 1"}},
		"refused for another":     {first: ifFirst, between: foreign, refused: true, saw: []string{"2 1", "2 9"}},
		"refused by the database": {first: these(created), refused: true, saw: []string{"2 ", "1 "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			owner, app := testenv.Database(t)
			log := open(t, eventlog.Config{URL: app})
			mustAppend(t, log, "a", created)
			conn, err := pgx.Connect(t.Context(), owner)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(context.Background())
			tx, err := conn.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Exec(t.Context(), "SELECT FROM head FOR UPDATE"); err != nil {
				t.Fatal(err)
			}

			var posts sync.WaitGroup
			var first error
			posts.Go(func() { _, first = log.Append(context.Background(), request("a"), test.first) })
			testenv.Eventually(t, "the first is being stored", func() bool {
				var blocked int
				err := tx.QueryRow(t.Context(), `
					SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
					WHERE NOT granted AND datname = current_database()`).Scan(&blocked)
				return err == nil && blocked == 1
			})
			var mu sync.Mutex
			var saw []string
			decided := func() int { mu.Lock(); defer mu.Unlock(); return len(saw) }
			var second error
			posts.Go(func() {
				_, second = log.Append(context.Background(), request("a"), func(t config.Tree) ([]events.Event, error) {
					mu.Lock()
					defer mu.Unlock()
					ns, _ := t.Namespace("a")
					own, _ := ns.Key("k")
					saw = append(saw, fmt.Sprint(ns.Revision, " ", own.Value))
					return []events.Event{set("k", 2)}, nil
				})
			})
			testenv.Eventually(t, "the second is decided", func() bool { return decided() == 1 })
			if test.between != nil {
				if err := test.between(t, tx); err != nil {
					t.Fatal(err)
				}
			}
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			posts.Wait()
			if (first != nil) != test.refused || second != nil {
				t.Errorf("got %v and %v", first, second)
			}
			if diff := cmp.Diff(test.saw, saw); diff != "" {
				t.Errorf("the second was decided on something else:\n%s", diff)
			}
			all := readAll(t, log)
			if last := all[len(all)-1]; last.Event != set("k", 2) {
				t.Errorf("the log ends with %v", last.Event)
			}
		})
	}
}

// Three processes and many clients write the same namespaces.
func TestAppendConcurrently(t *testing.T) {
	_, app := testenv.Database(t)
	var logs []*eventlog.Log
	for range 3 {
		logs = append(logs, open(t, eventlog.Config{URL: app, CacheKeys: 20})) // so small that trees come and go
	}
	const clients, each = 24, 25
	var clientsDone sync.WaitGroup
	var appended atomic.Int64
	for c := range clients {
		clientsDone.Go(func() {
			for i := range each {
				ns := events.Namespace(fmt.Sprintf("root%d.n%d", rand.N(4), rand.N(3)))
				key := events.Key(fmt.Sprintf("c%d.i%d", c, i))
				a, err := logs[(c+i)%len(logs)].Append(context.Background(), request(ns), func(t config.Tree) ([]events.Event, error) {
					if _, ok := t.Namespace(ns); !ok {
						return []events.Event{created, set(key, i)}, nil
					}
					return []events.Event{set(key, i)}, nil
				})
				if err != nil {
					t.Error(err)
				}
				appended.Add(int64(a.Events))
			}
		})
	}
	clientsDone.Wait()
	if all := readAll(t, logs[0]); int64(len(all)) != appended.Load() {
		t.Errorf("the log has %d events, %d were acknowledged", len(all), appended.Load())
	}
	for i, log := range logs {
		for r := range 4 {
			root := events.Namespace(fmt.Sprintf("root%d", r))
			present, err := log.Present(t.Context(), root)
			if err != nil {
				t.Fatal(err)
			}
			if loaded, err := log.Load(t.Context(), root, 0); err != nil || !present.Equal(loaded) {
				t.Errorf("log %d: the present of %s is not what is loaded (%v)", i, root, err)
			}
		}
	}
}

// Compare-and-set through several processes is linearizable: each revision is won once, and whoever is refused was shown
// a state that is not older than what was acknowledged before it asked.
func TestAppendIsLinearizable(t *testing.T) {
	_, app := testenv.Database(t)
	logs := []*eventlog.Log{open(t, eventlog.Config{URL: app}), open(t, eventlog.Config{URL: app})}
	mustAppend(t, logs[0], "a", created)
	errConflict := errors.New("conflict")
	var (
		mu           sync.Mutex
		winners      = map[events.Revision]int{}
		acknowledged atomic.Int64
		clients      sync.WaitGroup
	)
	acknowledged.Store(1)
	for c := range 8 {
		clients.Go(func() {
			believed := events.Revision(1)
			for i := range 40 {
				var seen events.Revision
				before := acknowledged.Load()
				_, err := logs[(c+i)%2].Append(context.Background(), request("a"), func(t config.Tree) ([]events.Event, error) {
					ns, _ := t.Namespace("a")
					if seen = ns.Revision; seen != believed {
						return nil, errConflict
					}
					return []events.Event{set("k", c)}, nil
				})
				if int64(seen) < before {
					t.Errorf("decided at revision %d, but %d was acknowledged before", seen, before)
				}
				switch err {
				case nil:
					mu.Lock()
					winners[seen+1]++
					mu.Unlock()
					for now := acknowledged.Load(); now < int64(seen+1) && !acknowledged.CompareAndSwap(now, int64(seen+1)); {
						now = acknowledged.Load()
					}
					believed = seen + 1
				case errConflict:
					believed = seen
				default:
					t.Error(err)
				}
			}
		})
	}
	clients.Wait()
	all := readAll(t, logs[0])
	if len(all) != len(winners)+1 {
		t.Errorf("%d revisions were won, the log has %d", len(winners), len(all)-1)
	}
	for revision, n := range winners {
		if n != 1 {
			t.Errorf("revision %d was won %d times", revision, n)
		}
	}
}

func TestAppendBusy(t *testing.T) {
	_, app := testenv.Database(t)
	log := open(t, eventlog.Config{URL: app, MaxWaiting: 1})
	mustAppend(t, log, "a", created)
	var second error
	_, err := log.Append(t.Context(), request("a"), func(config.Tree) ([]events.Event, error) {
		_, second = log.Append(t.Context(), request("a"), these(set("k", 2))) // while the first has no answer
		return []events.Event{set("k", 1)}, nil
	})
	if err != nil || !errors.Is(second, eventlog.ErrBusy) {
		t.Errorf("got %v and %v, want nil and %v", err, second, eventlog.ErrBusy)
	}
	mustAppend(t, log, "a", set("k", 3))
	if all := readAll(t, log); len(all) != 3 {
		t.Errorf("got %d events, want 3", len(all))
	}
}

// A caller that gives up while it waits has stored nothing; one whose change set was taken does not know.
func TestAppendGivesUp(t *testing.T) {
	log := testenv.Log(t)
	mustAppend(t, log, "a", created)
	ctx, cancel := context.WithCancel(context.Background())
	entered, release := make(chan struct{}), make(chan struct{})
	taken := make(chan error)
	go func() {
		_, err := log.Append(ctx, request("a"), func(config.Tree) ([]events.Event, error) {
			close(entered)
			<-release
			return []events.Event{set("k", "1")}, nil
		})
		taken <- err
	}()
	<-entered
	waiting := make(chan error)
	go func() {
		_, err := log.Append(ctx, request("a"), these(set("k", 2)))
		waiting <- err
	}()
	testenv.Eventually(t, "the second waits", func() bool { return log.Waiting() == 2 })
	cancel()
	if err := <-waiting; err != context.Canceled {
		t.Errorf("waiting: got %v, want %v", err, context.Canceled)
	}
	if err := <-taken; !errors.Is(err, eventlog.ErrUnknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("taken: got %v, want %v", err, eventlog.ErrUnknown)
	}
	close(release)
	mustAppend(t, log, "a", set("k", 3))
	var values []string
	for _, ev := range readAll(t, log)[1:] {
		values = append(values, string(ev.Event.(events.ValueSet).Value))
	}
	if diff := cmp.Diff([]string{"1", "3"}, values); diff != "" {
		t.Error(diff)
	}
}

func TestAppendAfterClose(t *testing.T) {
	_, app := testenv.Database(t)
	log := open(t, eventlog.Config{URL: app})
	mustAppend(t, log, "a", created)
	log.Close()
	if _, err := log.Append(t.Context(), request("a"), these(set("k", 1))); !errors.Is(err, eventlog.ErrBusy) {
		t.Errorf("got %v, want %v", err, eventlog.ErrBusy)
	}
	log.Close() // again does no harm
}
