package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/holdfast-config/holdfast/audit"
	"github.com/holdfast-config/holdfast/internal/testenv"
)

// syncBuffer is written by one goroutine and read by another.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func noEnv(string) string { return "" }

// devRun is a "holdfast dev" in this process.
type devRun struct {
	out, notice syncBuffer
	interrupt   context.CancelFunc
	ended       chan int
}

func startDev(t *testing.T, args ...string) *devRun {
	t.Helper()
	d := &devRun{ended: make(chan int, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	d.interrupt = cancel
	t.Cleanup(cancel)
	go func() {
		d.ended <- run(ctx, append([]string{"dev", "--listen", "127.0.0.1:0"}, args...), noEnv, strings.NewReader(""), &d.out, &d.notice)
	}()
	testenv.Eventually(t, "dev is up", func() bool {
		select {
		case code := <-d.ended:
			t.Fatalf("dev ended with %d: %s", code, d.notice.String())
		default:
		}
		return strings.Contains(d.out.String(), "Ctrl-C ends everything")
	})
	return d
}

// end is Ctrl-C.
func (d *devRun) end(t *testing.T) {
	t.Helper()
	d.interrupt()
	if code := <-d.ended; code != exitOK {
		t.Errorf("dev ended with %d: %s", code, d.notice.String())
	}
}

// here runs a command line that finds dev by itself.
func here(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, notice bytes.Buffer
	if code := run(t.Context(), args, noEnv, strings.NewReader(""), &out, &notice); code != want {
		t.Fatalf("holdfast %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), code, want, out.String(), notice.String())
	}
	return out.String(), notice.String()
}

// TestDev: the whole system comes up, is found from the folder and those below, keeps its data, and goes without a trace.
func TestDev(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // Postgres may run as another user
		t.Fatal(err)
	}
	t.Chdir(dir)
	d := startDev(t)
	if got := d.out.String(); !strings.Contains(got, "  holdfast set demo/greeting=hello") && !strings.Contains(got, "  go run ./cmd/holdfast set demo/greeting=hello") {
		t.Errorf("no commands to try, or with needless flags:\n%s", got)
	}
	here(t, exitOK, "create", "demo", "--open")
	if err := os.Mkdir("below", 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Join(dir, "below"))
	here(t, exitOK, "set", "demo/greeting=hello")
	if got, _ := here(t, exitOK, "ready"); strings.Contains(got, "not ok") || !strings.Contains(got, "sealing") {
		t.Errorf("ready: %s", got)
	}
	t.Chdir(dir)
	if info, err := os.Stat(".holdfast/dev.json"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("dev.json: %v, %v; want mode 0600", info, err)
	}
	if _, got := here(t, exitError, "dev"); !strings.Contains(got, "already runs in .holdfast, at http://127.0.0.1:") {
		t.Errorf("second dev: %q", got)
	}
	d.end(t)
	if _, err := os.Stat(".holdfast/dev.json"); !os.IsNotExist(err) {
		t.Errorf("dev.json after the end: %v", err)
	}
	here(t, exitUnreachable, "get", "demo/greeting", "--api", "http://127.0.0.1:1")

	again := startDev(t)
	if got, _ := here(t, exitOK, "get", "demo/greeting"); got != "hello\n" {
		t.Errorf("after a second start: got %q, want hello", got)
	}
	again.end(t)
}

// TestDevKeepsItsCheckpoint: a log that became shorter is not sealed after a restart either, until that is declared as
// the message says; one that was begun anew is.
func TestDevKeepsItsCheckpoint(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // Postgres may run as another user
		t.Fatal(err)
	}
	t.Chdir(dir)
	kept := func(size int64) func() bool {
		return func() bool {
			text, err := os.ReadFile(".holdfast/seal.checkpoint")
			c, openErr := audit.OpenCheckpoint(string(text), "")
			return err == nil && openErr == nil && c.N == size
		}
	}
	d := startDev(t)
	here(t, exitOK, "create", "demo", "--open")
	here(t, exitOK, "set", "demo/greeting=hello")
	testenv.Eventually(t, "the checkpoint is kept", kept(2))
	f, _ := readDevFile(defaultData)
	forget(t, f.Owner)
	d.end(t)
	if err := os.Remove(".holdfast/holdfast.log"); err != nil { // what the first one said is not the second's
		t.Fatal(err)
	}

	d = startDev(t)
	testenv.Eventually(t, "dev says what is wrong, and what to do", func() bool {
		log, err := os.ReadFile(".holdfast/holdfast.log")
		return err == nil && strings.Contains(string(log), "2 events were sealed, and now 0") && strings.Contains(string(log), "declare that: holdfast epoch new")
	})
	testenv.Eventually(t, "it says so when asked, too", func() bool {
		got, _ := here(t, exitOK, "ready")
		return strings.Contains(got, "declare that: holdfast epoch new")
	})
	here(t, exitOK, "epoch", "new", "--reason", "the data of yesterday")
	testenv.Eventually(t, "it is sealed again", kept(1))
	here(t, exitOK, "create", "demo", "--open")
	here(t, exitOK, "set", "demo/greeting=hello")
	testenv.Eventually(t, "what follows is sealed", kept(3))
	d.end(t)

	if err := os.RemoveAll(".holdfast/postgres"); err != nil {
		t.Fatal(err)
	}
	d = startDev(t)
	here(t, exitOK, "create", "demo", "--open")
	testenv.Eventually(t, "the new log is sealed", kept(1))
	d.end(t)
}

// forget makes the log empty, as putting back an older copy of the database does.
func forget(t *testing.T, owner string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), `
		BEGIN;
		ALTER TABLE events DISABLE TRIGGER events_are_facts;
		DELETE FROM events;
		ALTER TABLE events ENABLE TRIGGER events_are_facts;
		UPDATE head SET position = 0;
		DELETE FROM tiles;
		UPDATE checkpoint SET size = 0, note = '';
		COMMIT`)
	if err != nil {
		t.Fatal(err)
	}
}

// TestDevElsewhere: own servers, and a data folder that commands do not find by themselves. The checkpoint in it is not theirs.
func TestDevElsewhere(t *testing.T) {
	owner, _ := testenv.Database(t)
	redisURL, _ := testenv.Redis(t)
	t.Chdir(t.TempDir())
	if err := os.Mkdir("data", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("data/seal.checkpoint", []byte("of the log in this folder"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := startDev(t, "--postgres", owner, "--redis", redisURL, "--data", "data")
	got := d.out.String()
	if !strings.Contains(got, " --api http://127.0.0.1:") || !strings.Contains(got, " --redis "+redisURL+" create demo --open") {
		t.Errorf("the commands to try do not say where the system is:\n%s", got)
	}
	files, err := os.ReadDir("data")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.IsDir() {
			t.Errorf("dev made %s for a server of its own", f.Name())
		}
	}
	d.end(t)
}

// TestDevWithoutItsRedis: a Redis that was named and does not answer is not said to be ready, nor is its password.
func TestDevWithoutItsRedis(t *testing.T) {
	owner, _ := testenv.Database(t)
	t.Chdir(t.TempDir())
	_, got := here(t, exitUnreachable, "dev", "--listen", "127.0.0.1:0", "--postgres", owner, "--redis", "redis://:secret@127.0.0.1:1")
	if !strings.Contains(got, "redis at 127.0.0.1:1 does not answer") || strings.Contains(got, "redis is ready") || strings.Contains(got, "secret") {
		t.Errorf("got %q", got)
	}
}

// TestDevLosesServers: without its Redis, dev goes on and says so; without its Postgres, it ends.
func TestDevLosesServers(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // Postgres may run as another user
		t.Fatal(err)
	}
	t.Chdir(dir)
	d := startDev(t)
	f, _ := readDevFile(defaultData)
	opts, err := redis.ParseURL(f.Redis)
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(opts)
	defer rdb.Close()
	rdb.ShutdownNoSave(t.Context())
	testenv.Eventually(t, "dev says that Redis is gone", func() bool { return strings.Contains(d.notice.String(), "the private redis is gone") })
	here(t, exitOK, "create", "demo", "--open")
	here(t, exitOK, "set", "demo/greeting=hello")

	data, err := os.ReadFile(".holdfast/postgres/data/postmaster.pid")
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(data), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if code := <-d.ended; code != exitError || !strings.Contains(d.notice.String(), "the private postgres is gone: postgres ended by signal killed") {
		t.Errorf("dev ended with %d: %s", code, d.notice.String())
	}
}

func TestDevPortInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	t.Chdir(t.TempDir())
	_, got := here(t, exitError, "dev", "--listen", ln.Addr().String())
	if !strings.Contains(got, "is in use by another program; end that, or choose another port with --listen") {
		t.Errorf("got %q", got)
	}
	if _, err := os.Stat(".holdfast/postgres"); !os.IsNotExist(err) {
		t.Errorf("dev started a server before it found the port in use: %v", err)
	}
}

// TestStaleDevFile: a dev that was killed could not take its file away; its process is gone.
func TestStaleDevFile(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir(defaultData, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := (devFile{PID: 1 << 30, API: "http://127.0.0.1:1"}).write(defaultData); err != nil {
		t.Fatal(err)
	}
	if got := findDev(); got != (devFile{}) {
		t.Errorf("got %+v, want none", got)
	}
	if err := (devFile{PID: os.Getpid(), API: "http://127.0.0.1:1"}).write(defaultData); err != nil {
		t.Fatal(err)
	}
	if got := findDev(); got.API != "http://127.0.0.1:1" {
		t.Errorf("got %+v, want the running one", got)
	}
	info, err := os.Stat(devFileIn(defaultData))
	if err != nil {
		t.Fatal(err)
	}
	if isOf(info, os.Geteuid()+1) {
		t.Error("another user's dev would be believed")
	}
}
