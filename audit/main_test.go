package audit_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/holdfast-config/holdfast/audit"
	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// store is a log, and a connection as the owner of its database: an adversary's.
type store struct {
	t     testing.TB
	log   *eventlog.Log
	owner *pgx.Conn
	key   audit.Key
}

func newStore(t testing.TB) *store {
	t.Helper()
	ownerURL, app := testenv.Database(t)
	log, err := eventlog.Open(context.Background(), eventlog.Config{URL: app, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	owner, err := pgx.Connect(context.Background(), ownerURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { owner.Close(context.Background()) })
	return &store{t, log, owner, newKey(t)}
}

func newKey(t testing.TB) audit.Key {
	t.Helper()
	text, err := audit.GenerateKey("config.example.com")
	if err != nil {
		t.Fatal(err)
	}
	key, err := audit.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// post appends change sets of ready events, so many in all, in two namespaces.
func (s *store) post(n int) {
	s.t.Helper()
	head, err := s.log.Head(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < n; {
		ns := events.Namespace([]string{"a", "b"}[i%2])
		var evs []events.Event
		if int(head.Position) == 0 && i < 2 {
			evs = append(evs, events.NamespaceCreated{Open: true})
		}
		for len(evs) < min(n-i, 7) {
			evs = append(evs, events.ValueSet{Key: events.Key(fmt.Sprintf("k%d", len(evs))), Value: events.Value(fmt.Sprint(i))})
		}
		_, err := s.log.Append(context.Background(), eventlog.Request{Namespace: ns, Actor: "ann", Reason: "because"},
			func(config.Tree) ([]events.Event, error) { return evs, nil })
		if err != nil {
			s.t.Fatal(err)
		}
		i += len(evs)
	}
}

// execute runs statements as an adversary who owns the database.
func (s *store) execute(statements ...string) {
	s.t.Helper()
	err := pgx.BeginFunc(context.Background(), s.owner, func(tx pgx.Tx) error {
		for _, sql := range append([]string{`ALTER TABLE events DISABLE TRIGGER events_are_facts`}, statements...) {
			if _, err := tx.Exec(context.Background(), sql); err != nil {
				return fmt.Errorf("%s: %w", sql, err)
			}
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// sealing runs a sealer and returns how to end it.
func (s *store) sealing(key audit.Key) (*audit.Sealer, func()) { return s.sealingWith(key, "") }

// sealingWith is sealing with a file that keeps the checkpoint.
func (s *store) sealingWith(key audit.Key, file string) (*audit.Sealer, func()) {
	s.t.Helper()
	sealer := audit.NewSealer(s.log, key, quiet)
	if file != "" {
		if err := sealer.Keep(file); err != nil {
			s.t.Fatal(err)
		}
	}
	return sealer, s.running(sealer)
}

// running runs a sealer and returns how to end it.
func (s *store) running(sealer *audit.Sealer) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		sealer.Run(ctx)
	}()
	stop = func() { cancel(); <-ended }
	s.t.Cleanup(stop)
	return stop
}

// sealed waits until all is sealed, and returns the checkpoint.
func (s *store) sealed() audit.Checkpoint {
	s.t.Helper()
	head, err := s.log.Head(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	testenv.Eventually(s.t, "all is sealed", func() bool {
		sealed, err := s.log.Sealed(context.Background())
		return err == nil && sealed.Size == head.Position
	})
	return s.checkpoint()
}

// seal seals all there is, with a sealer that remembers nothing.
func (s *store) seal() audit.Checkpoint {
	s.t.Helper()
	_, stop := s.sealing(s.key)
	defer stop()
	return s.sealed()
}

func (s *store) checkpoint() audit.Checkpoint {
	s.t.Helper()
	sealed, err := s.log.Sealed(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := audit.OpenCheckpoint(sealed.Note, "")
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// Lines and Tile make the store a source to verify.
func (s *store) Lines(ctx context.Context, after events.Position) iter.Seq2[audit.Line, error] {
	return func(yield func(audit.Line, error) bool) {
		var stopped bool
		err := audit.Lines(ctx, s.log, after, 0, nil, func(l audit.Line) error {
			if !yield(l, nil) {
				stopped = true
				return io.EOF
			}
			return nil
		})
		if err != nil && !stopped {
			yield(audit.Line{}, err)
		}
	}
}

func (s *store) Tile(ctx context.Context, level int, n int64) ([]byte, error) {
	return s.log.Tile(ctx, level, n)
}

func (s *store) verify(trust audit.Trust) (audit.Verified, error) {
	return audit.Verify(context.Background(), s, trust, nil)
}
