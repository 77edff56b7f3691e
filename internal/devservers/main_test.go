package devservers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

var quiet = slog.New(slog.DiscardHandler)

// The test binary also plays the parent that is killed, and the programs in a download.
const parentVariable = "DEVSERVERS_TEST_PARENT"

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(parentVariable) != "":
		playParent(os.Getenv(parentVariable))
	case filepath.Base(os.Args[0]) == "postgres" || filepath.Base(os.Args[0]) == "initdb":
		fmt.Printf("%s (PostgreSQL) %s\n", filepath.Base(os.Args[0]), downloaded)
	default:
		os.Exit(m.Run())
	}
}

// playParent starts servers in dir, says which, and waits to be killed.
func playParent(dir string) {
	ctx := context.Background()
	p, err := StartPostgres(ctx, PostgresConfig{Dir: filepath.Join(dir, "postgres"), Logger: quiet})
	if err == nil {
		var r, passing *Redis
		if r, err = StartRedis(ctx, RedisConfig{Dir: filepath.Join(dir, "redis"), Logger: quiet}); err == nil {
			if passing, err = StartRedis(ctx, RedisConfig{Logger: quiet}); err == nil {
				fmt.Println(p.PID, r.PID, passing.PID, passing.scratch, r.URL)
				select {}
			}
		}
	}
	fmt.Println(err)
	os.Exit(1)
}

// parent is a process that has started servers.
type parent struct {
	cmd      *exec.Cmd
	pids     []int  // Postgres, Redis, and a Redis in a temporary directory
	scratch  string // that directory
	redisURL string
}

func startParent(t *testing.T, dir string) parent {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), parentVariable+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	line, _ := bufio.NewReader(out).ReadString('\n')
	fields := strings.Fields(line)
	if len(fields) != 5 {
		t.Fatalf("the parent says %q", line)
	}
	p := parent{cmd: cmd, scratch: fields[3], redisURL: fields[4]}
	for _, f := range fields[:3] {
		pid, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		p.pids = append(p.pids, pid)
	}
	return p
}

func (p parent) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.cmd.Wait()
}

// gone reports whether a process has ended, though nobody may have asked how.
func gone(pid int) bool {
	out, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return err != nil || strings.HasPrefix(strings.TrimSpace(string(out)), "Z")
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if poll(ctx, ok) != nil {
		t.Fatalf("not within 20 s: %s", what)
	}
}

// tempDir is short enough for a socket, unlike t.TempDir on some machines.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "holdfast-devservers-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func mustPostgres(t *testing.T, dir string) *Postgres {
	t.Helper()
	p, err := StartPostgres(t.Context(), PostgresConfig{Dir: dir, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// ask runs a query that returns one text.
func ask(t *testing.T, url, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var answer string
	if err := conn.QueryRow(t.Context(), sql).Scan(&answer); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		t.Fatal(err)
	}
	return answer
}

func redisClient(t *testing.T, url string) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(options)
	t.Cleanup(func() { c.Close() })
	return c
}

func groupOf(t *testing.T, pid int) int {
	t.Helper()
	group, err := syscall.Getpgid(pid)
	if err != nil {
		t.Fatal(err)
	}
	return group
}
