package devservers

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestPostgresKeepsItsData(t *testing.T) {
	dir := filepath.Join(tempDir(t), "made", "if missing")
	p := mustPostgres(t, dir)
	ask(t, p.URL, "CREATE TABLE kept AS SELECT 'still here' AS word")
	ask(t, p.URL, "CREATE ROLE someone LOGIN")
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if !gone(p.PID) {
		t.Error("Close returned before the server was down")
	}

	// As a killed server leaves it, with the id of a process that lives: of its own accord Postgres would not start.
	stale := strconv.Itoa(os.Getpid()) + "\n" + filepath.Join(dir, "data") + "\n"
	if err := os.WriteFile(filepath.Join(dir, "data", "postmaster.pid"), []byte(stale), 0o644); err != nil {
		t.Fatal(err)
	}
	p = mustPostgres(t, dir)
	if got := ask(t, p.URL, "SELECT word FROM kept"); got != "still here" {
		t.Errorf("got %q from the second start", got)
	}
	if got := ask(t, p.URLFor("someone", "postgres"), "SELECT current_user::text"); got != "someone" {
		t.Errorf("URLFor connects as %q", got)
	}
	if got := ask(t, p.URL, "SHOW server_encoding"); got != "UTF8" {
		t.Errorf("encoding %s", got)
	}
	if !strings.HasPrefix(ask(t, p.URL, "SHOW server_version"), p.Version) || p.Version == "" {
		t.Errorf("version %q", p.Version)
	}
}

// TestPostgresIsPrivate: no port, and a socket that only we can reach, since it asks for no password.
func TestPostgresIsPrivate(t *testing.T) {
	p := mustPostgres(t, filepath.Join(tempDir(t), "postgres"))
	if got := ask(t, p.URL, "SHOW listen_addresses"); got != "" {
		t.Errorf("listens on %q", got)
	}
	info, err := os.Stat(p.socket)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the socket is in a directory with mode %v", info.Mode())
	}
}

func TestPostgresSettings(t *testing.T) {
	p, err := StartPostgres(t.Context(), PostgresConfig{Logger: quiet, Settings: map[string]string{"fsync": "off", "work_mem": "5MB"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := ask(t, p.URL, "SELECT current_setting('fsync') || ' ' || current_setting('work_mem')"); got != "off 5MB" {
		t.Errorf("got %s", got)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(p.scratch); !os.IsNotExist(err) {
		t.Error("Close left the temporary directory behind")
	}
}

func TestPostgresSaysWhyItDoesNotStart(t *testing.T) {
	dir := tempDir(t)
	_, err := StartPostgres(t.Context(), PostgresConfig{
		Dir: filepath.Join(dir, "postgres"), Logger: quiet, Settings: map[string]string{"work_mem": "lots"},
	})
	wantError(t, err, "start postgres: ", "exited with status", `invalid value for parameter "work_mem"`)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = StartPostgres(ctx, PostgresConfig{Dir: filepath.Join(dir, "other"), Logger: quiet})
	wantError(t, err, "context canceled")
}

func TestPostgresOfAnotherVersion(t *testing.T) {
	dir := filepath.Join(tempDir(t), "postgres")
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "data", "PG_VERSION"), []byte("9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := StartPostgres(t.Context(), PostgresConfig{Dir: dir, Logger: quiet})
	wantError(t, err, "was made by postgres 9", "install postgres 9, or move the data away")
}

func TestPostgresInALongPath(t *testing.T) {
	dir := filepath.Join(tempDir(t), strings.Repeat("long/", 30))
	p := mustPostgres(t, dir)
	if got := ask(t, p.URL, "SELECT 'reached'"); got != "reached" {
		t.Error(got)
	}
	if strings.HasPrefix(p.socket, dir) {
		t.Error("the socket has a path that is too long for macOS")
	}
	p.Close()
	if _, err := os.Stat(p.socket); !os.IsNotExist(err) {
		t.Error("Close left the socket's directory behind")
	}
}

func TestWaitTellsHowAServerEnded(t *testing.T) {
	p := mustPostgres(t, filepath.Join(tempDir(t), "postgres"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := p.Wait(ctx); err != context.DeadlineExceeded {
		t.Errorf("of a server that runs: %v", err)
	}
	syscall.Kill(p.PID, syscall.SIGKILL)
	wantError(t, p.Wait(t.Context()), "postgres ended by signal killed", "ready to accept connections")
}

func wantError(t *testing.T, err error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("got no error, want one with %q", texts)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("got error %q, want %q in it", err, text)
		}
	}
}
