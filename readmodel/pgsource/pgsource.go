// Package pgsource lets a reader take the latest events straight from Postgres while Redis is down, for services that may
// reach the log itself:
//
//	readmodel.Open(ctx, "payments.prod", readmodel.Config{Redis: …, Latest: pgsource.New(pgsource.Config{URL: …})})
//
// It is a package of its own so that other services do not get the database driver. A reader that follows it keeps a
// connection to Postgres, which readers of one namespace may share (readmodel.Config.Share): for many processes, the api's
// watch (readmodel.Config.API) is the way.
package pgsource

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// Config configures a source.
type Config struct {
	URL    string       // postgres:// URL or key=value string, of a role that may read the log, such as the application's
	Logger *slog.Logger // gets what happens to the connection, never values; default: slog.Default
}

// New returns a source of the log's events. It connects when a reader first needs it, and gives Postgres 5 s to answer;
// what is wrong with the URL, or with Postgres, is in the reader's Status, and in the error of Open if nothing else
// answers. It is notified of what is new, and looks at the log once a second in any case.
func New(cfg Config) readmodel.Source {
	s := &source{cfg: cfg}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

type source struct {
	cfg    Config
	ctx    context.Context // ends at Close
	cancel context.CancelFunc
}

func (s *source) Name() string { return "postgres" }

func (s *source) Close() error {
	s.cancel()
	return nil
}

// Postgres is asked again after this long without an answer; the log is looked at once a second in any case.
const timeout = 5 * time.Second

func (s *source) Follow(ctx context.Context, ns events.Namespace, have view.Head, sink readmodel.Sink) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	opening, done := context.WithTimeout(ctx, timeout)
	defer done()
	log, err := eventlog.Open(opening, eventlog.Config{URL: s.cfg.URL, Logger: s.cfg.Logger, PoolSize: 1, Timeout: timeout})
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	defer log.Close()
	f := &following{log: log, namespace: ns, sink: sink, at: have}
	if err := f.begin(ctx); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	return fmt.Errorf("postgres: %w", log.Tail(ctx, f.tree.position, f.take))
}

// following is one session over the log.
type following struct {
	log       *eventlog.Log
	namespace events.Namespace
	sink      readmodel.Sink
	at        view.Head // what the sink has
	tree      folded
}

// folded is the tree that the namespace belongs to, as of a position in the log.
type folded struct {
	config.Tree
	position events.Position
}

// begin folds the tree as of what the sink has, or loads the view if that is of no or another history.
func (f *following) begin(ctx context.Context) error {
	head, err := f.log.Head(ctx)
	if err != nil {
		return err
	}
	goesOn := f.at.Epoch == head.Epoch && f.at.Position > 0 && f.at.Position <= head.Position
	if goesOn {
		head.Position = f.at.Position
	}
	tree, err := f.log.Load(ctx, f.namespace, head.Position)
	if err != nil {
		return err
	}
	f.tree = folded{tree, head.Position}
	if goesOn {
		return nil
	}
	own, exists := tree.Namespace(f.namespace)
	if !exists {
		return fmt.Errorf("namespace %s does not exist", f.namespace)
	}
	at := view.Head{Epoch: head.Epoch, Revision: own.Revision}
	for space := range tree.Chain(f.namespace) {
		at.Position = max(at.Position, space.Position)
	}
	entries := map[events.Key]view.Entry{}
	for key, e := range tree.Entries(f.namespace) {
		entries[key] = view.Entry(e)
	}
	at.Keys = len(entries)
	if !f.sink.Load(at, entries) {
		return fmt.Errorf("the log's view of %s is at %d, behind what is shown", f.namespace, at.Position)
	}
	f.at = at
	return nil
}

// take passes on what the change sets in evs do to the view.
func (f *following) take(evs []events.Recorded, head eventlog.Head) error {
	if head.Epoch != f.at.Epoch {
		return eventlog.ErrEpochChanged
	}
	for cs := range events.ChangeSets(evs) {
		if err := f.apply(cs); err != nil {
			return err
		}
	}
	if n := len(evs); n > 0 {
		f.tree.position = evs[n-1].Position
	}
	f.sink.Confirm(f.tree.position, head.Position, time.Now())
	return nil
}

func (f *following) apply(cs []events.Recorded) error {
	first, last := cs[0], cs[len(cs)-1]
	if first.Namespace.Root() != f.namespace.Root() {
		return nil
	}
	fold := config.NewFold(f.tree.Tree)
	for _, ev := range cs {
		fold.Apply(ev)
	}
	before := f.tree.Tree
	f.tree.Tree = fold.Tree()
	for _, vc := range config.Changes(before, f.tree.Tree, cs) {
		if vc.Namespace != f.namespace {
			continue
		}
		change := view.ChangeSet{
			Epoch: f.at.Epoch, Namespace: f.namespace, Position: last.Position, Prev: f.at.Position, Revision: vc.Revision,
			Origin: last.Namespace, OriginRevision: last.Revision, Actor: first.Actor, Reason: first.Reason, Time: first.Time,
		}
		for _, c := range vc.Changes {
			change.Changes = append(change.Changes, view.Change{Key: c.Key, Entry: (*view.Entry)(c.New)})
		}
		if !f.sink.Apply(change) {
			return fmt.Errorf("the change at %d does not follow what is shown", change.Position)
		}
		f.at.Position = change.Position
	}
	return nil
}
