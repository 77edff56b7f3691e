package devservers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tether leaves the watcher behind and becomes the server: $$ is the server's process id, also in the watcher. The
// watcher reads a line when the server has ended in the ordinary way, and end of file when the parent is gone. Signals
// are ignored because the kernel sends SIGHUP to a group that lost its parent while one of it is stopped.
const tether = `
signal=$1 scratch=$2
shift 2
( (
	trap "" HUP INT TERM
	read -r _ <&3 && exit
	kill -"$signal" $$
	kill -CONT $$
	n=0
	while kill -0 $$ && [ $n -lt 50 ]; do sleep 0.1; n=$((n+1)); done
	kill -KILL $$
	[ -z "$scratch" ] || rm -rf "$scratch"
) </dev/null >/dev/null 2>&1 & )
exec "$@" 3<&-
`

// command says what to run as a child.
type command struct {
	args    []string
	dir     string // whose lock the child holds
	log     string // file in dir that takes the output of this run
	scratch string // directory that the watcher removes when the parent is gone; empty: none
	user    *account
	ending  []ending
	before  func() error // runs when the directory is ours, before the child; nil: nothing
}

// ending is one step of stopping a child: a signal, and how long to wait before the next.
type ending struct {
	signal syscall.Signal
	grace  time.Duration
}

var (
	postgresEnding = []ending{{syscall.SIGINT, 20 * time.Second}, {syscall.SIGQUIT, 5 * time.Second}}
	redisEnding    = []ending{{syscall.SIGTERM, 10 * time.Second}}
)

// child is a process that does not outlive this one. Nothing waits for it in the background: whoever wants to know
// looks, so that a child costs no goroutine.
type child struct {
	command
	pid  int
	life int // the pipe on which the watcher waits: a bare descriptor, which no garbage collector closes

	mu     sync.Mutex
	exited bool
	status syscall.WaitStatus
}

// start runs cmd as soon as its directory is free.
func start(ctx context.Context, cmd command) (*child, error) {
	lock, err := acquire(ctx, cmd.dir)
	if err != nil {
		return nil, err
	}
	defer lock.Close() // the child's own copy goes on holding it
	if err := os.WriteFile(lock.Name(), []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		return nil, err
	}
	if cmd.before != nil {
		if err := cmd.before(); err != nil {
			return nil, err
		}
	}
	output, err := os.Create(filepath.Join(cmd.dir, cmd.log))
	if err != nil {
		return nil, err
	}
	defer output.Close()
	watched, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer watched.Close()
	defer ours.Close()
	life, err := unix.FcntlInt(ours.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}

	first := strconv.Itoa(int(cmd.ending[0].signal))
	c := exec.Command("/bin/sh", append([]string{"-c", tether, "tether", first, cmd.scratch}, cmd.args...)...)
	c.Dir = cmd.dir
	c.Stdout, c.Stderr = output, output
	c.ExtraFiles = []*os.File{watched, lock}
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: cmd.user.credential()}
	if err := c.Start(); err != nil {
		unix.Close(life)
		return nil, err
	}
	pid := c.Process.Pid
	c.Process.Release() // poll reaps it
	return &child{command: cmd, pid: pid, life: life}, nil
}

// poll reports whether the child has ended.
func (c *child) poll() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.exited {
		return true
	}
	pid, err := syscall.Wait4(c.pid, &c.status, syscall.WNOHANG, nil)
	if pid == 0 || errors.Is(err, syscall.EINTR) {
		return false
	}
	c.exited = true
	unix.Write(c.life, []byte("ended\n"))
	unix.Close(c.life)
	return true
}

// signal sends s unless the child has ended.
func (c *child) signal(s syscall.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.exited {
		syscall.Kill(c.pid, s)
	}
}

// wait returns when the child has ended, nil if with exit code 0, or with ctx's error.
func (c *child) wait(ctx context.Context) error {
	if err := poll(ctx, c.poll); err != nil {
		return err
	}
	if c.status.ExitStatus() == 0 {
		return nil
	}
	return c.failure()
}

// failure says how the child ended and what it last wrote.
func (c *child) failure() error {
	how := fmt.Sprintf("exited with status %d", c.status.ExitStatus())
	if c.status.Signaled() {
		how = "ended by signal " + c.status.Signal().String()
	}
	path := filepath.Join(c.dir, c.log)
	return fmt.Errorf("%s %s; end of %s:%s", filepath.Base(c.args[0]), how, path, tail(path))
}

// stop ends the child and waits until it, and what it started, is gone. It is bounded.
func (c *child) stop() error {
	for _, e := range append(c.ending, ending{syscall.SIGKILL, 10 * time.Second}) {
		c.signal(e.signal)
		c.signal(syscall.SIGCONT) // a stopped process would not see the signal
		ctx, cancel := context.WithTimeout(context.Background(), e.grace)
		err := poll(ctx, c.poll)
		cancel()
		if err == nil {
			return c.vacate()
		}
	}
	return fmt.Errorf("%s, process %d, does not end", filepath.Base(c.args[0]), c.pid)
}

// vacate waits until no process of the child holds the directory.
func (c *child) vacate() error {
	path := filepath.Join(c.dir, "lock")
	if err := os.Truncate(path, 0); err != nil { // it is no longer ours, so nobody need be told
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	lock, err := acquire(ctx, c.dir)
	if err != nil {
		return err
	}
	return lock.Close()
}

// acquire locks dir. It waits for processes whose parent is gone, and fails at once if the parent is alive.
func acquire(ctx context.Context, dir string) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	lock, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	var inUse error
	err = poll(ctx, func() bool {
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			return true
		}
		data, _ := os.ReadFile(path)
		pid, _ := strconv.Atoi(strings.TrimSpace(string(data)))
		if alive(pid) {
			inUse = fmt.Errorf("%s is in use by process %d: end that, or choose another directory", dir, pid)
		}
		return inUse != nil
	})
	if err = errors.Join(inUse, err); err != nil {
		lock.Close()
		return nil, err
	}
	return lock, nil
}

// alive reports whether there is such a process, be it another user's.
func alive(pid int) bool {
	if pid <= 0 {
		return false
	}
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
