package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-config/holdfast/internal/testenv"
)

// binaries builds cmd/api and cmd/projector once, with the race detector, and returns their folder.
var binaries = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "holdfast-e2e-")
	if err != nil {
		return "", err
	}
	const module = "github.com/holdfast-config/holdfast"
	out, err := exec.Command("go", "build", "-race", "-o", dir+"/", module+"/cmd/api", module+"/cmd/projector").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the programs: %w: %s", err, out)
	}
	return dir, nil
})

// TestMain fails if a goroutine is left when all is closed, the readers' among them.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(settled{m}, goleak.Cleanup(func(code int) {
		if dir, err := binaries(); err == nil {
			os.RemoveAll(dir)
		}
		os.Exit(code)
	}))
}

// settled is the tests, and then the end of the connections that http.DefaultClient keeps for a next request.
type settled struct{ *testing.M }

func (m settled) Run() int {
	code := m.M.Run()
	http.DefaultClient.CloseIdleConnections()
	return code
}

// process is one of our programs, running.
type process struct {
	t    *testing.T
	name string
	args []string
	url  string // of its health endpoints, and of the api
	cmd  *exec.Cmd
	logs *testenv.Output
}

// start runs the program and waits until it is alive. It ends with the test; a race that it reports fails the test.
func start(t *testing.T, name string, args ...string) *process {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	p := &process{t: t, name: name, url: "http://" + addr, args: append([]string{"--listen", addr}, args...), logs: &testenv.Output{}}
	p.run()
	t.Cleanup(func() {
		p.signal(syscall.SIGCONT)
		p.kill()
		if strings.Contains(p.logs.String(), "DATA RACE") || t.Failed() {
			t.Logf("%s %v said:\n%s", name, p.args, tail(p.logs.String(), 8<<10))
		}
		if strings.Contains(p.logs.String(), "DATA RACE") {
			t.Errorf("%s has a data race", name)
		}
	})
	return p
}

// run starts the process, the first time or again after kill.
func (p *process) run() {
	p.t.Helper()
	dir, err := binaries()
	if err != nil {
		p.t.Fatal(err)
	}
	p.cmd = exec.Command(filepath.Join(dir, p.name), p.args...)
	p.cmd.Stdout, p.cmd.Stderr = p.logs, p.logs
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	testenv.Eventually(p.t, p.name+" is alive", func() bool {
		resp, err := http.Get(p.url + "/livez")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// kill ends the process with SIGKILL and waits for its end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// get decodes the JSON answer at path, whatever its status, and returns the status; 0 if there is no answer.
func (p *process) get(path string, into any) int {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return 0
	}
	return resp.StatusCode
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }
