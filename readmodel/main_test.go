package readmodel_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start returns a projector on an empty Redis, with a=1, and a reader on it.
func start(t *testing.T) (*projector, *readmodel.Reader) {
	t.Helper()
	url, rdb := testenv.Redis(t)
	p := newProjector(t, rdb)
	p.set("a", "1")
	return p, open(t, url)
}

// startServer is start on a Redis process that may be tormented.
func startServer(t *testing.T) (*testenv.Server, *projector, *readmodel.Reader) {
	t.Helper()
	server := testenv.RedisServer(t)
	p := newProjector(t, client(t, server.URL))
	p.set("a", "1")
	return server, p, open(t, server.URL)
}

func client(t *testing.T, url string) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	options.ClientName = "test"
	rdb := redis.NewClient(options)
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

func open(t *testing.T, url string) *readmodel.Reader {
	t.Helper()
	return openLogged(t, url, slog.New(slog.DiscardHandler))
}

func openLogged(t *testing.T, url string, log *slog.Logger) *readmodel.Reader {
	t.Helper()
	r, err := readmodel.Open(soon(t), string(ns), readmodel.Config{Redis: url, Logger: log})
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

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func waitFor(t *testing.T, r *readmodel.Reader, pos events.Position) {
	t.Helper()
	if err := r.WaitFor(soon(t), pos); err != nil {
		t.Fatalf("%v; status %+v", err, r.Status())
	}
}

func waitState(t *testing.T, r *readmodel.Reader, want readmodel.State) {
	t.Helper()
	testenv.Eventually(t, "reader is "+string(want), func() bool { return r.Status().State == want })
}

// wantEqual waits until the reader is live and then compares what it shows with what was projected.
func wantEqual(t *testing.T, r *readmodel.Reader, p *projector) {
	t.Helper()
	testenv.Eventually(t, "reader shows what was projected", func() bool {
		st := r.Status()
		return st.Epoch == p.epoch && st.Position >= p.head.Position && st.State == readmodel.Live
	})
	s := r.Snapshot()
	if s.Position() != p.head.Position || s.Revision() != p.head.Revision || s.Len() != len(p.entries) {
		t.Errorf("got position %d, revision %d, %d keys, want %+v", s.Position(), s.Revision(), s.Len(), p.head)
	}
	got := map[events.Key]readmodel.Entry{}
	for key, e := range s.All() {
		got[key] = e
	}
	if diff := cmp.Diff(p.entries, got); diff != "" {
		t.Errorf("projected and shown differ (-want +got):\n%s", diff)
	}
}

func value(r *readmodel.Reader, key string) string {
	e, _ := r.Get(key)
	return string(e.Value)
}

func wantValue(t *testing.T, r *readmodel.Reader, key, want string) {
	t.Helper()
	if got := value(r, key); got != want {
		t.Errorf("%s: got %s, want %s", key, got, want)
	}
}

// lines is where a logger under test writes.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), s)
}
