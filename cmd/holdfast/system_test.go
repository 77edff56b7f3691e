package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/audit"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/projections"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

var update = flag.Bool("update", false, "write the output that scripts compare with anew")

// TestMain lets scripts run this binary as the command line.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"holdfast": main})
}

// system is api and projector on a fresh database and an empty Redis.
type system struct {
	api, redis, database string
	log                  *eventlog.Log
}

// start runs a system until the test ends. What wrap returns answers instead of the api, if it is not nil.
func start(t *testing.T, wrap func(http.Handler) http.Handler) *system {
	t.Helper()
	redisURL, rdb := testenv.Redis(t)
	return startOn(t, redisURL, rdb, wrap)
}

func startOn(t *testing.T, redisURL string, rdb redis.UniversalClient, wrap func(http.Handler) http.Handler) *system {
	t.Helper()
	_, database := testenv.Database(t)
	log, err := eventlog.Open(t.Context(), eventlog.Config{URL: database})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	projector := projections.New(log, rdb, projections.Config{Logger: logger})
	handler := api.New(api.Config{Log: log, Redis: rdb, Logger: logger, Projector: projector.Status, MayReveal: api.RevealIf(true)})
	if wrap != nil {
		handler = wrap(handler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	key, err := audit.GenerateKey("test")
	if err != nil {
		t.Fatal(err)
	}
	sealKey, err := audit.ParseKey(key)
	if err != nil {
		t.Fatal(err)
	}
	sealer := audit.NewSealer(log, sealKey, logger)
	ended := make(chan error, 3)
	go func() { sealer.Run(ctx); ended <- nil }()
	go func() { ended <- projector.Run(ctx) }()
	go func() { ended <- api.Serve(ctx, ln, handler, logger) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, <-ended, <-ended); err != nil {
			t.Error(err)
		}
	})
	return &system{"http://" + ln.Addr().String(), redisURL, database, log}
}

// holdfast runs a command line in this process, as ann.
func (s *system) holdfast(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	env := map[string]string{"HOLDFAST_API": s.api, "HOLDFAST_REDIS": s.redis, "HOLDFAST_DATABASE": s.database, "HOLDFAST_ACTOR": "ann"}
	var out, notice bytes.Buffer
	code = run(t.Context(), args, func(name string) string { return env[name] }, strings.NewReader(""), &out, &notice)
	return code, out.String(), notice.String()
}

// ok runs a command line that must succeed, and returns its data.
func (s *system) ok(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := s.holdfast(t, args...)
	if code != exitOK {
		t.Fatalf("holdfast %s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// TestScripts runs the scripts in testdata/script, each on a system of its own. Beside the usual commands of testscript
// they have "code N COMMAND …", for an exit code, "await FILE TEXT", for what a command in the background writes, "sealed",
// which waits until all is sealed, "report NAMESPACE INSTANCE POSITION WHY", for what a reader says of itself, and "forge
// NAMESPACE KEY VALUE", for a value that somebody puts into Redis.
func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	for _, script := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".txtar"), func(t *testing.T) {
			s := start(t, nil)
			testscript.Run(t, testscript.Params{
				Files:               []string{script},
				UpdateScripts:       *update,
				RequireExplicitExec: true,
				RequireUniqueNames:  true,
				Setup: func(env *testscript.Env) error {
					env.Setenv("HOLDFAST_API", s.api)
					env.Setenv("HOLDFAST_REDIS", s.redis)
					env.Setenv("HOLDFAST_DATABASE", s.database)
					env.Setenv("HOLDFAST_ACTOR", "ann")
					env.Setenv("OWNER_URL", testenv.EmptyDatabase(t))
					env.Setenv("EXAMPLES", examples)
					return nil
				},
				Cmds: map[string]func(*testscript.TestScript, bool, []string){"code": exitsWith, "await": await, "report": s.report, "sealed": s.sealed, "forge": s.forge},
			})
		})
	}
}

func exitsWith(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func await(ts *testscript.TestScript, _ bool, args []string) {
	file, text := ts.MkAbs(args[0]), args[1]
	testenv.Eventually(scriptTB{ts: ts}, fmt.Sprintf("%s has %q", args[0], text), func() bool {
		data, err := os.ReadFile(file)
		return err == nil && strings.Contains(string(data), text)
	})
}

func (s *system) report(ts *testscript.TestScript, _ bool, args []string) {
	var values api.Values
	c := client{base: s.api, timeout: time.Minute}
	ts.Check(c.get(context.Background(), &values, nil, "v1", "namespaces", args[0], "values"))
	position, err := strconv.ParseInt(args[2], 10, 64)
	ts.Check(err)
	in := view.Instance{
		App: "checkout", Instance: args[1], Host: "node-3", Epoch: values.Epoch, Position: events.Position(position), Source: "redis", AgeMs: 20,
	}
	if args[3] != "" {
		in.Rejected = &view.Rejected{Position: in.Position, Why: args[3]}
	}
	options, err := redis.ParseURL(s.redis)
	ts.Check(err)
	rdb := redis.NewClient(options)
	defer rdb.Close()
	ts.Check(view.ReportInstance(context.Background(), rdb, events.Namespace(args[0]), in, time.Minute))
}

func (s *system) sealed(ts *testscript.TestScript, _ bool, _ []string) {
	s.awaitSealed(scriptTB{ts: ts})
}

// awaitSealed waits until all is sealed.
func (s *system) awaitSealed(t testing.TB) {
	t.Helper()
	testenv.Eventually(t, "all is sealed", func() bool {
		head, err := s.log.Head(context.Background())
		sealed, err2 := s.log.Sealed(context.Background())
		return err == nil && err2 == nil && sealed.Size == head.Position
	})
}

func (s *system) forge(ts *testscript.TestScript, _ bool, args []string) {
	options, err := redis.ParseURL(s.redis)
	ts.Check(err)
	rdb := redis.NewClient(options)
	defer rdb.Close()
	entry := view.EncodeEntry(view.Entry{Value: events.Value(args[2]), Kind: events.Int, Revision: 1, Position: 1, From: args[0]})
	ts.Check(rdb.HSet(context.Background(), view.ValuesKey(events.Namespace(args[0])), args[1], entry).Err())
}

// scriptTB makes a script a test that can fail.
type scriptTB struct {
	testing.TB
	ts *testscript.TestScript
}

func (s scriptTB) Helper() {}

func (s scriptTB) Fatalf(format string, args ...any) { s.ts.Fatalf(format, args...) }
