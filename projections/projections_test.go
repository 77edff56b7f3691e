package projections

import (
	"context"
	"encoding/json"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

func TestProjectsChangeSetsDownTheTree(t *testing.T) {
	leakFree(t)
	log := testenv.Log(t)
	_, rdb := testenv.Redis(t)
	running(t, log, rdb, quick)
	projected(t, rdb, 0) // else the views would be put in place as a whole

	post(t, log, "payments", created(), defined("conns", "20"), set("region", `"eu"`))       // 1 to 3
	post(t, log, "payments.prod", created())                                                 // 4
	post(t, log, "payments.prod", set("conns", "50"))                                        // 5
	post(t, log, "payments", set("conns", "30"))                                             // 6: overridden below
	post(t, log, "payments", set("region", `"us"`), set("new", "true"))                      // 7, 8
	post(t, log, "payments.prod", events.ValueUnset{Key: "conns"}, set("region", `"ap"`))    // 9, 10
	post(t, log, "payments", events.KeyRemoved{Key: "new"}, events.ValueUnset{Key: "conns"}) // 11, 12
	equalToLog(t, log, rdb)

	got, err := stream(rdb, "payments.prod")
	if err != nil {
		t.Fatal(err)
	}
	epoch, err := log.Head(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	entry := func(value events.Value, kind events.Kind, rev events.Revision, pos events.Position, from string) *view.Entry {
		return &view.Entry{Value: value, Kind: kind, Revision: rev, Position: pos, From: from}
	}
	cs := func(origin events.Namespace, pos, prev events.Position, rev, originRev events.Revision, changes ...view.Change) view.ChangeSet {
		return view.ChangeSet{Epoch: epoch.Epoch, Term: 1, Namespace: "payments.prod", Position: pos, Prev: prev, Revision: rev,
			Origin: origin, OriginRevision: originRev, Actor: "alice", Reason: "test", Changes: changes}
	}
	def := config.FromDefault
	want := []view.ChangeSet{
		cs("payments.prod", 4, 0, 1, 1,
			view.Change{Key: "conns", Entry: entry("20", events.Int, 1, 2, def)},
			view.Change{Key: "region", Entry: entry(`"eu"`, events.String, 1, 3, "payments")}),
		cs("payments.prod", 5, 4, 2, 2, view.Change{Key: "conns", Entry: entry("50", events.Int, 2, 5, "payments.prod")}),
		cs("payments", 8, 5, 2, 3,
			view.Change{Key: "new", Entry: entry("true", events.Bool, 3, 8, "payments")},
			view.Change{Key: "region", Entry: entry(`"us"`, events.String, 3, 7, "payments")}),
		cs("payments.prod", 10, 8, 3, 3,
			view.Change{Key: "conns", Entry: entry("30", events.Int, 2, 6, "payments")},
			view.Change{Key: "region", Entry: entry(`"ap"`, events.String, 3, 10, "payments.prod")}),
		cs("payments", 12, 10, 3, 4,
			view.Change{Key: "conns", Entry: entry("20", events.Int, 1, 2, def)},
			view.Change{Key: "new"}),
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(view.ChangeSet{}, "Time")); diff != "" {
		t.Errorf("stream of payments.prod (-want +got):\n%s", diff)
	}
}

// The view hash is a public contract: these fields, and no others.
func TestViewHash(t *testing.T) {
	log := testenv.Log(t)
	_, rdb := testenv.Redis(t)
	running(t, log, rdb, quick)
	post(t, log, "a", created(), set("k", "1"))
	equalToLog(t, log, rdb)
	got := rdb.HGetAll(context.Background(), "holdfast:{a}:view").Val()
	head, err := log.Head(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"epoch": head.Epoch, "term": "1", "position": "2", "revision": "1", "keys": "1", "updated_at": got["updated_at"]}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNamespaceWithoutValues(t *testing.T) {
	log := testenv.Log(t)
	_, rdb := testenv.Redis(t)
	running(t, log, rdb, quick)
	post(t, log, "empty", created())
	post(t, log, "emptied", created(), set("k", "1"))
	post(t, log, "emptied", events.ValueUnset{Key: "k"})
	equalToLog(t, log, rdb)
	if err := rdb.FlushDB(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
	equalToLog(t, log, rdb)
	if n := rdb.Exists(context.Background(), view.ValuesKey("empty"), view.ValuesKey("emptied")).Val(); n != 0 {
		t.Errorf("%d values hashes exist, want none", n)
	}
}

func TestStatus(t *testing.T) {
	log := testenv.Log(t)
	_, rdb := testenv.Redis(t)
	p, stop := running(t, log, rdb, quick)
	at := post(t, log, "a", created(), set("k", "1"))
	testenv.Eventually(t, "status shows the position", func() bool {
		s := p.Status()
		return s.Active && s.Term == 1 && s.Position == int64(at.Position) && s.Head == s.Position && s.Err == nil
	})
	standby, _ := running(t, log, rdb, quick)
	if standby.Status().Active {
		t.Error("two projectors are active")
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if p.Status().Active {
		t.Error("still active after Run has returned")
	}
	testenv.Eventually(t, "the standby takes over", func() bool { return standby.Status().Active })
	post(t, log, "a", set("k", "2"))
	equalToLog(t, log, rdb)
}

// A change set whose effect on a view below is too large for a stream entry is put in place as a whole view.
func TestLargeChangeSets(t *testing.T) {
	log := testenv.Log(t)
	_, rdb := testenv.Redis(t)
	running(t, log, rdb, quick)
	projected(t, rdb, 0)
	post(t, log, "big", created())
	text := make([]byte, 250<<10)
	for i := range text {
		text[i] = 'x'
	}
	large, err := json.Marshal(string(text))
	if err != nil {
		t.Fatal(err)
	}
	const many = 20 // times 250 KiB: more than maxStepBytes
	for i := range many {
		post(t, log, "big", set(key(i), events.Value(large)))
	}
	post(t, log, "big.below", created(), set("own", "1"))
	post(t, log, "big.below", set("own", "2"))
	equalToLog(t, log, rdb)
	all, err := stream(rdb, "big.below")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 || !all[0].Rebuilt || len(all[0].Changes) != 0 {
		t.Error("the view was not put in place as a whole")
	}

	// Lua passes at most some 8,000 arguments at once.
	wide := make([]events.Event, 0, 10_001)
	wide = append(wide, created())
	for i := range 6_000 {
		wide = append(wide, defined(key(i), "1"))
	}
	for i := 0; i < len(wide); i += 1_000 {
		post(t, log, "wide", wide[i:min(i+1_000, len(wide))]...)
	}
	post(t, log, "wide.below", created()) // 6,000 changes in one step
	equalToLog(t, log, rdb)
}

func key(i int) events.Key {
	return events.Key("group" + string(rune('a'+i%26)) + ".key-" + strconv.Itoa(i))
}

// What is about the log itself, or about a namespace and not its values, goes by: the heartbeat moves, nothing is listed,
// and the view of a tagged namespace has its revision.
func TestEventsOfNoView(t *testing.T) {
	leakFree(t)
	log := testenv.Log(t)
	_, rdb := testenv.Redis(t)
	running(t, log, rdb, quick)
	post(t, log, "a", created(), set("k", "1"))
	began := events.EpochBegan{Epoch: "next", Previous: "last"}
	projected(t, rdb, post(t, log, events.LogNamespace, began).Position)
	equalToLog(t, log, rdb)
	post(t, log, "a", events.NamespaceTagged{Tag: "t"})
	post(t, log, "a", events.NamespaceRestored{Namespace: "a", Revision: 1, Position: 1}, set("k", "2"))
	post(t, log, events.LogNamespace, began)
	equalToLog(t, log, rdb)
	about := rdb.Keys(t.Context(), "*@log*").Val()
	if len(about) > 0 {
		t.Errorf("Redis has %v", about)
	}
}
