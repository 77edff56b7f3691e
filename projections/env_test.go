package projections

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

var quick = Config{Heartbeat: 20 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}

// post appends a change set of ready events, decided by nobody.
func post(t testing.TB, log *eventlog.Log, ns events.Namespace, evs ...events.Event) eventlog.Appended {
	t.Helper()
	a, err := log.Append(context.Background(), eventlog.Request{Namespace: ns, Actor: "alice", Reason: "test"},
		func(config.Tree) ([]events.Event, error) { return evs, nil })
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func created() events.Event { return events.NamespaceCreated{Open: true} }

func set(key events.Key, value events.Value) events.Event {
	return events.ValueSet{Key: key, Value: value}
}

func defined(key events.Key, value events.Value) events.Event {
	return events.KeyDefined{Key: key, Definition: events.Definition{Kind: events.Int, Default: value}}
}

// running starts a projector and returns how to end it, which waits for it.
func running(t testing.TB, log *eventlog.Log, rdb redis.UniversalClient, cfg Config) (p *Projector, stop func() error) {
	t.Helper()
	p = New(log, rdb, cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	stop = func() error {
		cancel()
		err := <-ended
		ended <- err
		return err
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return p, stop
}

// projected waits until the heartbeat says that everything up to pos is in the views.
func projected(t testing.TB, rdb redis.UniversalClient, pos events.Position) {
	t.Helper()
	testenv.Eventually(t, fmt.Sprintf("projected up to %d", pos), func() bool {
		beat, err := view.LoadHeartbeat(context.Background(), rdb)
		return err == nil && beat.Position >= pos
	})
}

// equalToLog waits until the heartbeat is at the end of the log and all views equal a fold of it, and says what differs
// if they do not become so.
func equalToLog(t testing.TB, log *eventlog.Log, rdb redis.UniversalClient) {
	t.Helper()
	var err error
	t.Cleanup(func() {
		if t.Failed() && err != nil {
			t.Logf("views differ from the log: %v", err)
		}
	})
	testenv.Eventually(t, "views equal to the log", func() bool {
		err = compare(log, rdb)
		return err == nil
	})
}

// compare says how Redis differs from a fold of the log.
func compare(log *eventlog.Log, rdb redis.UniversalClient) error {
	ctx := context.Background()
	head, err := log.Head(ctx)
	if err != nil {
		return err
	}
	beat, err := view.LoadHeartbeat(ctx, rdb)
	if err != nil {
		return err
	}
	if beat.Epoch != head.Epoch || beat.Position != head.Position {
		return fmt.Errorf("heartbeat is at %d of %s, the log at %d of %s", beat.Position, beat.Epoch, head.Position, head.Epoch)
	}
	names, err := log.Namespaces(ctx, "", 10_000)
	if err != nil {
		return err
	}
	trees := map[events.Namespace]config.Tree{}
	for _, root := range roots(names) {
		if trees[root], err = log.Load(ctx, root, 0); err != nil {
			return err
		}
	}
	for _, ns := range names {
		if err := compareView(rdb, head, trees[ns.Root()], ns); err != nil {
			return fmt.Errorf("%s: %w", ns, err)
		}
	}
	found, err := store{rdb}.namespaces(ctx)
	if err != nil {
		return err
	}
	slices.Sort(found)
	if found = slices.Compact(found); !slices.Equal(found, names) {
		return fmt.Errorf("redis has views of %v, the log has %v", found, names)
	}
	return nil
}

func compareView(rdb redis.UniversalClient, end eventlog.Head, tree config.Tree, ns events.Namespace) error {
	ctx := context.Background()
	got := map[events.Key]view.Entry{}
	head, err := view.Load(ctx, rdb, ns, func(key events.Key, e view.Entry) error {
		got[key] = e
		return nil
	})
	if err != nil {
		return err
	}
	want := map[events.Key]view.Entry{}
	for key, e := range tree.Entries(ns) {
		want[key] = view.Entry(e)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("values (-log +redis):\n%s", diff)
	}
	own, _ := tree.Namespace(ns)
	if head.Epoch != end.Epoch || head.Revision != own.Revision || head.Position < own.Position || head.Position > end.Position {
		return fmt.Errorf("view hash %+v does not fit revision %d at %d of the log", head, own.Revision, own.Position)
	}
	if ttl := rdb.TTL(ctx, view.ValuesKey(ns)).Val(); ttl > 0 {
		return fmt.Errorf("values go away after %v", ttl)
	}
	return compareStream(rdb, head, got, ns)
}

// compareStream checks what a reader relies on: entries of one epoch, each with the position of the one before, the last
// with that of the view, and the entry that each key was given last is the one in the values.
func compareStream(rdb redis.UniversalClient, head view.Head, entries map[events.Key]view.Entry, ns events.Namespace) error {
	all, err := stream(rdb, ns)
	if err != nil || len(all) == 0 {
		return err // a stream may be lost: the next entry shows it
	}
	last := map[events.Key]*view.Entry{}
	for i, cs := range all {
		if cs.Epoch != head.Epoch {
			return fmt.Errorf("stream entry at %d is of another epoch", cs.Position)
		}
		if i > 0 && !cs.Rebuilt && cs.Prev != all[i-1].Position {
			return fmt.Errorf("stream entry at %d says %d was before it, not %d", cs.Position, cs.Prev, all[i-1].Position)
		}
		if cs.Rebuilt {
			clear(last)
		}
		for _, c := range cs.Changes {
			last[c.Key] = c.Entry
		}
	}
	if end := all[len(all)-1]; end.Position != head.Position || end.Revision != head.Revision {
		return fmt.Errorf("stream ends at %d, revision %d; the view is at %d, revision %d", end.Position, end.Revision, head.Position, head.Revision)
	}
	for key, e := range last {
		if have, ok := entries[key]; ok != (e != nil) || ok && have != *e {
			return fmt.Errorf("the stream and the values differ on key %q", key)
		}
	}
	return nil
}

// stream reads a whole stream as watermill-redisstream does.
func stream(rdb redis.UniversalClient, ns events.Namespace) ([]view.ChangeSet, error) {
	found, err := rdb.XRange(context.Background(), view.ChangesKey(ns), "-", "+").Result()
	if err != nil {
		return nil, err
	}
	all := make([]view.ChangeSet, len(found))
	for i, entry := range found {
		msg, err := redisstream.DefaultMarshallerUnmarshaller{}.Unmarshal(entry.Values)
		if err != nil {
			return nil, err
		}
		if all[i], err = view.ParseMessage(msg); err != nil {
			return nil, err
		}
		if entry.ID != view.StreamID(all[i].Position) || msg.Metadata[view.MetadataPosition] != strconv.Itoa(int(all[i].Position)) {
			return nil, errors.New("id and metadata of a stream entry are not of its position")
		}
	}
	return all, nil
}

func leakFree(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

func headOf(t testing.TB, log *eventlog.Log) eventlog.Head {
	t.Helper()
	head, err := log.Head(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return head
}
