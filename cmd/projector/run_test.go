package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/holdfast-config/holdfast/audit"
	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/projections"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// address is where the program that writes stderr says that it answers.
func address(stderr *testenv.Output) string {
	if m := regexp.MustCompile(`address=(\S+)`).FindStringSubmatch(stderr.String()); m != nil {
		return m[1]
	}
	return ""
}

func environment(variables map[string]string) func(string) string {
	return func(name string) string { return variables[name] }
}

// TestRun drives the program from start to end: it projects what is posted, is healthy, and goes. Started again, it
// stops at an event of a type that it does not know, and says so.
func TestRun(t *testing.T) {
	owner, app := testenv.Database(t)
	redis, rdb := testenv.Redis(t)
	log, err := eventlog.Open(t.Context(), eventlog.Config{URL: app})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	appended, err := log.Append(t.Context(), eventlog.Request{Namespace: "free", Actor: "test"}, func(config.Tree) ([]events.Event, error) {
		return []events.Event{events.NamespaceCreated{Open: true}, events.ValueSet{Key: "k", Value: "1"}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := rdb.Ping(t.Context()).Err(); err != nil { // its pool is not a leak of the program's
		t.Fatal(err)
	}
	before := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stderr testenv.Output
	key, err := audit.GenerateKey("test")
	if err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(t.TempDir(), "checkpoint")
	env := environment(map[string]string{"HOLDFAST_DATABASE": app, "HOLDFAST_REDIS": redis, "HOLDFAST_LISTEN": "127.0.0.1:0", "HOLDFAST_SEAL_KEY": key,
		"HOLDFAST_SEAL_CHECKPOINT": kept})
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, nil, env, &stderr) }()
	testenv.Eventually(t, "the view is there", func() bool {
		head, err := view.LoadHead(t.Context(), rdb, "free")
		return err == nil && head.Position == appended.Position
	})
	testenv.Eventually(t, "the log is sealed", func() bool {
		sealed, err := log.Sealed(t.Context())
		text, readErr := os.ReadFile(kept)
		return err == nil && readErr == nil && sealed.Size == appended.Position && sealed.Note == string(text)
	})
	if err := run(ctx, []string{"--healthcheck", "--listen", address(&stderr)}, env, io.Discard); err != nil {
		t.Errorf("health check: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	goleak.VerifyNone(t, before)
	if strings.Contains(stderr.String(), key) {
		t.Error("the key is in the log")
	}

	postUnknown(t, owner)
	err = run(t.Context(), nil, env, io.Discard)
	var unknown *events.UnknownTypeError
	if !errors.As(err, &unknown) || unknown.Type != "value.frozen.v9" {
		t.Errorf("got %v", err)
	}
}

// postUnknown appends an event as a newer program would.
func postUnknown(t *testing.T, owner string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), `
		WITH moved AS (UPDATE head SET position = position + 1 RETURNING position)
		INSERT INTO events (position, namespace, revision, type, key, data, actor, reason, at)
		SELECT position, 'free', 2, 'value.frozen.v9', 'k', '{}', 'newer', '', clock_timestamp() FROM moved`)
	if err != nil {
		t.Fatal(err)
	}
}

func TestRunRefuses(t *testing.T) {
	empty := testenv.EmptyDatabase(t)
	_, app := testenv.Database(t)
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"no Redis", []string{"--database", empty}, "HOLDFAST_REDIS"},
		{"no database", []string{"--redis", "redis://localhost"}, "HOLDFAST_DATABASE"},
		{"no schema", []string{"--redis", "redis://localhost", "--database", empty}, "holdfast migrate"},
		{"no such key", []string{"--redis", "redis://localhost", "--database", app, "--seal-key", "/nowhere/key"}, "--seal-key: open /nowhere/key"},
		{"no key", []string{"--redis", "redis://localhost", "--database", app, "--seal-key", "PRIVATE+KEY+x"}, "holdfast audit keygen"},
		{"log format", []string{"--redis", "redis://localhost", "--log", "xml"}, "text or json"},
		{"address", []string{"--redis", "redis://localhost", "--listen", "127.0.0.1:99999"}, "--listen"},
		{"unknown flag", []string{"--lisen", "x"}, "lisen"},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := environment(map[string]string{"HOLDFAST_LISTEN": "127.0.0.1:0"})
			if err := run(t.Context(), c.args, env, io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if err := run(t.Context(), []string{"--help"}, environment(nil), io.Discard); err != nil {
		t.Errorf("help: %v", err)
	}
}

func TestHealth(t *testing.T) {
	st := projections.Status{Active: true, Term: 3, Position: 5, Head: 7}
	ask := func(path string) (int, ready) {
		t.Helper()
		w := httptest.NewRecorder()
		health(func() projections.Status { return st }, nil).ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		var body ready
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatal(err)
		}
		return w.Code, body
	}
	code, body := ask("/readyz")
	if diff := cmp.Diff(ready{Ready: true, Active: true, Term: 3, Position: 5, Head: 7}, body); diff != "" || code != http.StatusOK {
		t.Errorf("got %d %s", code, diff)
	}
	st.Err = errors.New("redis is gone")
	if code, body := ask("/readyz"); code != http.StatusServiceUnavailable || body.Ready || body.Why != "redis is gone" {
		t.Errorf("got %d %+v", code, body)
	}
	if code, _ := ask("/livez"); code != http.StatusOK {
		t.Errorf("alive as long as it answers: got %d", code)
	}
}
