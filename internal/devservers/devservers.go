// Package devservers runs private Postgres and Redis servers for development and tests: found on the machine, else
// downloaded (Postgres) or in-process (Redis). No server outlives the process that started it, even when that is killed.
//
// # How a server is tied to its parent
//
// A server is started by a small shell that leaves a watcher behind and becomes the server. The watcher waits on a pipe
// whose other end only the parent holds: when the parent dies, in whatever way, the pipe closes, and the watcher ends the
// server, first politely, then by force. That works the same on Linux and macOS, and does not depend on which thread
// of the parent forked. Servers have a process group of their own, so that Ctrl-C in a terminal reaches the parent alone.
//
// # How a directory is kept to one server
//
// The file "lock" in a server's directory is locked by the server's processes themselves, which inherit it. Who gets the
// lock knows that no process of a former server is left, so that traces such as postmaster.pid are stale. A second start
// on a directory in use says by whom; one right after the former parent was killed waits until its server has ended.
package devservers

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"time"
)

// startLimit bounds a start whose context has no deadline. Postgres may have to recover first.
const startLimit = 2 * time.Minute

// pause is how often the state of a process is looked at.
const pause = 10 * time.Millisecond

func orDefault(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.Default()
	}
	return l
}

// tail returns the last lines of a server's log, indented, to show in an error.
func tail(path string) string {
	const lines = 12
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	all := strings.Split(strings.TrimSpace(string(data)), "\n")
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return "\n\t" + strings.Join(all, "\n\t")
}

// poll returns when done returns true, or with ctx's error.
func poll(ctx context.Context, done func() bool) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
