package eventlog_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
)

// keyed is a request with an idempotency key.
func keyed(ns events.Namespace, key, body string) eventlog.Request {
	req := request(ns)
	req.Receipt = &eventlog.Receipt{Principal: "ann", Key: key, Hash: sha256.Sum256([]byte(body))}
	return req
}

// A retry that came while the first waited for its receipt is answered, too, when the receipts can not be read.
func TestRetriesWithoutReceipts(t *testing.T) {
	owner, app := testenv.Database(t)
	log := open(t, eventlog.Config{URL: app})
	mustAppend(t, log, "a", created)
	execute(t, owner, "REVOKE SELECT ON receipts FROM holdfast_app")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	refused := func(config.Tree) ([]events.Event, error) { return nil, errors.New("refused") }
	errs := make([]error, 3)
	entered, release := make(chan struct{}), make(chan struct{})
	var posts sync.WaitGroup
	post := func(i int, key string, decide eventlog.Decide) {
		posts.Go(func() { _, errs[i] = log.Append(ctx, keyed("a", key, "x"), decide) })
		testenv.Eventually(t, "it waits", func() bool { return log.Waiting() == int64(i)+1 })
	}
	first := true
	post(0, "other", func(t config.Tree) ([]events.Event, error) { // so that the two that follow are taken together
		if first {
			first = false
			close(entered)
			<-release
		}
		return refused(t)
	})
	<-entered
	post(1, "key", refused)
	post(2, "key", refused)
	close(release)
	posts.Wait()
	for _, err := range errs {
		if err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the database's refusal", err)
		}
	}
}

func TestReceipts(t *testing.T) {
	_, app := testenv.Database(t)
	log, other := open(t, eventlog.Config{URL: app}), open(t, eventlog.Config{URL: app})
	mustAppend(t, log, "a", created)
	refusal := errors.New("no")
	refuse := func(config.Tree) ([]events.Event, error) { return nil, refusal }

	changes, err := log.Append(t.Context(), keyed("a", "changes", "x"), these(set("k", 1)))
	if err != nil {
		t.Fatal(err)
	}
	nothing, err := log.Append(t.Context(), keyed("a", "nothing", "x"), these())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := log.Append(t.Context(), keyed("a", "refused", "x"), refuse); err != refusal {
		t.Fatal(err)
	}
	mustAppend(t, log, "a", set("k", 2))

	replayed := func(a eventlog.Appended) eventlog.Appended {
		a.Replayed = true
		return a
	}
	otherPrincipal := keyed("a", "changes", "x")
	otherPrincipal.Receipt.Principal = "bob"
	for _, tt := range []struct {
		what   string
		req    eventlog.Request
		decide eventlog.Decide
		want   eventlog.Appended
		err    error
	}{
		{"the retry of what was stored", keyed("a", "changes", "x"), these(set("k", 1)), replayed(changes), nil},
		{"a retry that would be refused now", keyed("a", "changes", "x"), refuse, replayed(changes), nil},
		{"a retry that would change nothing now", keyed("a", "changes", "x"), these(), replayed(changes), nil},
		{"the retry of what changed nothing", keyed("a", "nothing", "x"), these(set("k", 1)), replayed(nothing), nil},
		{"the key of another request", keyed("a", "changes", "y"), these(set("k", 1)), eventlog.Appended{}, eventlog.ErrKeyReused},
		{"the key of another request that would be refused", keyed("a", "changes", "y"), refuse, eventlog.Appended{}, eventlog.ErrKeyReused},
		{"a refusal leaves no receipt", keyed("a", "refused", "y"), refuse, eventlog.Appended{}, refusal},
	} {
		for _, log := range []*eventlog.Log{log, other} {
			got, err := log.Append(t.Context(), tt.req, tt.decide)
			if err != tt.err {
				t.Errorf("%s: got error %v, want %v", tt.what, err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s: %s", tt.what, diff)
			}
		}
	}
	if n := len(readAll(t, log)); n != 3 {
		t.Errorf("retries were stored: %d events, want 3", n)
	}
	if a, err := log.Append(t.Context(), otherPrincipal, these(set("k", 3))); err != nil || a.Replayed {
		t.Errorf("another principal's key: got %v, %v", a, err)
	}
	for _, key := range []string{"", strings.Repeat("k", 256)} {
		if _, err := log.Append(t.Context(), keyed("a", key, "x"), these()); err == nil {
			t.Errorf("a key of %d bytes was accepted", len(key))
		}
	}
}

// A retry that comes while the first waits gets the answer of the first, in the same batch and through another process.
func TestReceiptOfConcurrentRetry(t *testing.T) {
	_, app := testenv.Database(t)
	log, other := open(t, eventlog.Config{URL: app}), open(t, eventlog.Config{URL: app})
	mustAppend(t, log, "a", created)
	var stored, replayed atomic.Int32
	try := func(log *eventlog.Log) func() {
		return func() {
			switch a, err := log.Append(context.Background(), keyed("a", "k", "x"), these(set("k", 1))); {
			case err != nil:
				t.Error(err)
			case a.Position != 2:
				t.Errorf("answered with position %d, want 2", a.Position)
			case a.Replayed:
				replayed.Add(1)
			default:
				stored.Add(1)
			}
		}
	}
	together(t, log, try(log), try(log), try(log))
	try(other)()
	if stored.Load() != 1 || replayed.Load() != 3 {
		t.Errorf("stored %d times and replayed %d times, want 1 and 3", stored.Load(), replayed.Load())
	}
	readAll(t, log)
}

func TestPrune(t *testing.T) {
	owner, app := testenv.Database(t)
	log := open(t, eventlog.Config{URL: app})
	execute(t, owner, `
		INSERT INTO receipts (principal, key, hash, namespace, revision, position, events, at, stored_at)
		SELECT 'ann', i::text, sha256(''), 'a', 1, 1, 1, now(), now() - CASE WHEN i <= 2500 THEN interval '8 days' ELSE interval '6 days' END
		FROM generate_series(1, 2600) i`)
	if err := log.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var left int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM receipts`).Scan(&left); err != nil || left != 100 {
		t.Errorf("got %d receipts left, %v, want the 100 of less than 7 days", left, err)
	}
}
