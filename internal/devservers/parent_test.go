package devservers

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

func TestServersEndWithTheirParent(t *testing.T) {
	tests := map[string]func(parent){
		"killed":                         func(parent) {},
		"killed while redis is stopped":  func(p parent) { syscall.Kill(p.pids[1], syscall.SIGSTOP) },
		"killed while one ended already": func(p parent) { syscall.Kill(p.pids[1], syscall.SIGKILL) },
	}
	for name, before := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startParent(t, tempDir(t))
			before(p)
			p.kill(t)
			for _, pid := range p.pids {
				eventually(t, "the server is gone", func() bool { return gone(pid) })
			}
			eventually(t, "the temporary directory is gone", func() bool {
				_, err := os.Stat(p.scratch)
				return os.IsNotExist(err)
			})
		})
	}
}

// TestStartRightAfterParentIsKilled: the next start waits for the servers that are still ending.
func TestStartRightAfterParentIsKilled(t *testing.T) {
	dir := tempDir(t)
	parent := startParent(t, dir)
	parent.kill(t)

	mustPostgres(t, filepath.Join(dir, "postgres"))
	if !gone(parent.pids[0]) {
		t.Error("two servers on the same data")
	}
}

func TestDirectoryInUse(t *testing.T) {
	dir := tempDir(t)
	parent := startParent(t, dir)
	_, err := StartPostgres(t.Context(), PostgresConfig{Dir: filepath.Join(dir, "postgres"), Logger: quiet})
	wantError(t, err, "start postgres: ", "is in use by process "+strconv.Itoa(parent.cmd.Process.Pid))
	if gone(parent.pids[0]) {
		t.Error("the attempt ended the server that was running")
	}
}

// TestServersHaveAGroupOfTheirOwn: what the terminal sends to our group does not reach the servers.
func TestServersHaveAGroupOfTheirOwn(t *testing.T) {
	parent := startParent(t, tempDir(t))
	for _, pid := range parent.pids {
		if groupOf(t, pid) == groupOf(t, os.Getpid()) {
			t.Error("a server is in the group of its parent")
		}
	}
}
