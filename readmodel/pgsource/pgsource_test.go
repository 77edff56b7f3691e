package pgsource_test

import (
	"context"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel"
	"github.com/holdfast-config/holdfast/readmodel/pgsource"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// post appends events as one change set and returns the position of the last.
func post(t *testing.T, log *eventlog.Log, ns events.Namespace, evs ...events.Event) events.Position {
	t.Helper()
	done, err := log.Append(t.Context(), eventlog.Request{Namespace: ns, Actor: "ada", Reason: "because"},
		func(config.Tree) ([]events.Event, error) { return evs, nil })
	if err != nil {
		t.Fatal(err)
	}
	return done.Position
}

func open(t *testing.T, url string, ns events.Namespace) (*readmodel.Reader, error) {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	return readmodel.Open(t.Context(), string(ns), readmodel.Config{
		Latest: pgsource.New(pgsource.Config{URL: url, Logger: quiet}), Wait: 5 * time.Second, Logger: quiet,
	})
}

// wantLog waits until the reader has pos, and holds it against a fold of the log.
func wantLog(t *testing.T, r *readmodel.Reader, log *eventlog.Log, pos events.Position) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := r.WaitFor(ctx, pos); err != nil {
		t.Fatalf("%v; %+v", err, r.Status())
	}
	tree, err := log.Load(t.Context(), r.Status().Namespace, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := map[events.Key]view.Entry{}
	for key, e := range tree.Entries(r.Status().Namespace) {
		want[key] = view.Entry(e)
	}
	if diff := cmp.Diff(want, maps.Collect(r.Snapshot().All())); diff != "" {
		t.Errorf("(-log +reader):\n%s", diff)
	}
}

func TestFollowsTheLog(t *testing.T) {
	_, url := testenv.Database(t)
	network := testenv.Proxy(t, url)
	log, err := eventlog.Open(t.Context(), eventlog.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	post(t, log, "shop", events.NamespaceCreated{Open: true}, events.ValueSet{Key: "a", Value: "1"})
	post(t, log, "shop.eu", events.NamespaceCreated{Open: true}, events.ValueSet{Key: "b", Value: "1"})
	r, err := open(t, network.URL, "shop.eu")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if st := r.Status(); st.State != readmodel.Live || st.Source != "postgres" {
		t.Errorf("got %+v", st)
	}
	wantLog(t, r, log, post(t, log, "shop", events.ValueSet{Key: "a", Value: "2"})) // inherited
	wantLog(t, r, log, post(t, log, "shop.eu", events.ValueSet{Key: "a", Value: "3"}, events.ValueUnset{Key: "b"}))
	wantLog(t, r, log, post(t, log, "other", events.NamespaceCreated{}))

	also, err := readmodel.Open(t.Context(), "shop.eu", readmodel.Config{Share: r, RequireFresh: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer also.Close()
	network.Cut()
	last := post(t, log, "shop.eu", events.ValueSet{Key: "b", Value: "4"})
	network.Restore()
	for _, r := range []*readmodel.Reader{r, also} {
		wantLog(t, r, log, last)
		if n := r.Status().Resyncs; n != 0 {
			t.Errorf("got %d resyncs, want none", n)
		}
	}
}

func TestSaysWhatIsWrong(t *testing.T) {
	_, url := testenv.Database(t)
	for name, c := range map[string]struct{ url, want string }{
		"no namespace": {url, "namespace shop does not exist"},
		"no database":  {"postgres://x:hunter2@127.0.0.1:1/none", "postgres"},
	} {
		t.Run(name, func(t *testing.T) {
			quiet := slog.New(slog.DiscardHandler)
			_, err := readmodel.Open(t.Context(), "shop", readmodel.Config{
				Latest: pgsource.New(pgsource.Config{URL: c.url, Logger: quiet}), Wait: 500 * time.Millisecond, Logger: quiet,
			})
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want something with %q", err, c.want)
			}
		})
	}
}
