package testenv

import (
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/holdfast-config/holdfast/internal/devservers"
	"github.com/holdfast-config/holdfast/migrations"
)

// Server is a server process that a test may torment. Its methods fail the test when they can not do what they say; they
// are for the test's own goroutine.
type Server struct {
	URL string

	t     testing.TB
	pid   int
	run   io.Closer // nil: killed
	start func(context.Context) (run io.Closer, pid int, err error)
}

// RedisServer starts a Redis process for this test alone. Arguments such as "--appendonly", "yes" go to the server.
func RedisServer(t testing.TB, args ...string) *Server {
	t.Helper()
	cfg := devservers.RedisConfig{Dir: dir(t), Args: args, Logger: quiet}
	s := &Server{t: t}
	s.start = func(ctx context.Context) (io.Closer, int, error) {
		r, err := devservers.StartRedis(ctx, cfg)
		if err != nil {
			return nil, 0, err
		}
		if r.PID == 0 {
			return r, 0, errors.New("this test needs a redis process: run scripts/setup.sh")
		}
		s.URL = r.URL
		u, err := url.Parse(r.URL)
		if err != nil {
			return r, 0, err
		}
		cfg.Port, err = strconv.Atoi(u.Port()) // the next start takes the same
		return r, r.PID, err
	}
	return s.first()
}

// PostgresServer starts a Postgres for this test alone, with one database of the newest schema: its URLs as owner and as
// the application's role. The URL of the server itself is the superuser's.
func PostgresServer(t testing.TB) (s *Server, owner, app string) {
	t.Helper()
	cfg := devservers.PostgresConfig{Dir: dir(t), Settings: postgresSettings, Logger: quiet}
	s = &Server{t: t}
	s.start = func(ctx context.Context) (io.Closer, int, error) {
		p, err := devservers.StartPostgres(ctx, cfg)
		if err != nil {
			return nil, 0, err
		}
		s.URL = p.URL
		return p, p.PID, nil
	}
	s.first()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := withLock(ctx, s.URL, makeOwner); err != nil {
		t.Fatal(err)
	}
	if err := execute(s.URL, "CREATE DATABASE holdfast OWNER "+ownerRole); err != nil {
		t.Fatal(err)
	}
	owner, app = as(s.URL, ownerRole, "holdfast"), as(s.URL, appRole, "holdfast")
	if err := migrations.Up(ctx, owner, appRole, password); err != nil {
		t.Fatal(err)
	}
	return s, owner, app
}

// dir returns a directory with a path short enough for a socket, removed when the test ends, after the server.
func dir(t testing.TB) string {
	t.Helper()
	d, err := os.MkdirTemp("", "holdfast-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(d) })
	return d
}

func (s *Server) first() *Server {
	s.t.Helper()
	s.Start()
	s.t.Cleanup(func() {
		if s.run == nil {
			return
		}
		s.Continue()
		if err := s.run.Close(); err != nil {
			s.t.Error(err)
		}
	})
	return s
}

// Kill ends the process and its children at once (SIGKILL).
func (s *Server) Kill() {
	s.t.Helper()
	s.Stop() // else children could be born while we count them, or be left behind stopped
	children := s.children()
	s.signal(syscall.SIGKILL)
	for _, pid := range children {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	if err := s.run.Close(); err != nil {
		s.t.Fatal(err)
	}
	s.run = nil
}

// Start starts it again after Kill, on the same address, with what it had saved.
func (s *Server) Start() {
	s.t.Helper()
	if s.run != nil {
		s.t.Fatal("the server runs: Kill it first")
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	run, pid, err := s.start(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	s.run, s.pid = run, pid
}

// Stop and Continue send SIGSTOP and SIGCONT: a stopped server accepts connections and answers nothing.
func (s *Server) Stop()     { s.t.Helper(); s.signalAll(syscall.SIGSTOP) }
func (s *Server) Continue() { s.t.Helper(); s.signalAll(syscall.SIGCONT) }

// signalAll signals the process, then its children: Postgres has one for each connection.
func (s *Server) signalAll(sig syscall.Signal) {
	s.t.Helper()
	s.signal(sig)
	for _, pid := range s.children() {
		syscall.Kill(pid, sig) // it may have ended in between
	}
}

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if s.run == nil {
		s.t.Fatal("the server does not run: Start it first")
	}
	if err := syscall.Kill(s.pid, sig); err != nil {
		s.t.Fatal(err)
	}
}

func (s *Server) children() []int {
	s.t.Helper()
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=").Output()
	if err != nil {
		s.t.Fatalf("list processes: %v", err)
	}
	var pids []int
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) != 2 || fields[1] != strconv.Itoa(s.pid) {
			continue
		}
		if pid, err := strconv.Atoi(fields[0]); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
