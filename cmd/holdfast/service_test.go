package main

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/holdfast-config/holdfast/internal/testenv"
)

// TestExampleService runs examples/service: it starts with the defaults of the real settings, shows a change the moment
// it lands, answers with it, does so without Redis too, and ends when it is told to.
func TestExampleService(t *testing.T) {
	s := start(t, nil)
	network := testenv.Proxy(t, s.redis)
	s.ok(t, "import", "postgres.main", "-f", "../../examples/postgres-settings.yaml")
	program := filepath.Join(t.TempDir(), "service")
	if out, err := exec.Command("go", "build", "-o", program, "../../examples/service").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var out syncBuffer
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), "HOLDFAST_REDIS="+network.URL, "HOLDFAST_API="+s.api, "SERVICE_LISTEN=127.0.0.1:0")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	address := regexp.MustCompile(`http://\S+`)
	testenv.Eventually(t, "the service listens", func() bool { return address.MatchString(out.String()) })

	if got := fetch(t, address.FindString(out.String())); !strings.HasPrefix(got, "work_mem 4096, max_connections 100, log_statement none ") {
		t.Errorf("before: got %q", got)
	}
	s.ok(t, "set", "postgres.main/work_mem=8192", "log_statement=ddl", "--reason", "bigger sorts")
	testenv.Eventually(t, "the service shows the change", func() bool {
		return strings.Contains(out.String(), "work_mem: 4096 → 8192, revision 2 by ann: bigger sorts\n")
	})
	if got := fetch(t, address.FindString(out.String())); !strings.HasPrefix(got, "work_mem 8192, max_connections 100, log_statement ddl ") {
		t.Errorf("after: got %q", got)
	}
	network.Cut()
	s.ok(t, "set", "postgres.main/log_statement=all", "--reason", "without Redis")
	testenv.Eventually(t, "the service shows the change without Redis", func() bool {
		return strings.Contains(out.String(), "log_statement: \"ddl\" → \"all\", revision 3 by ann: without Redis\n")
	})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the service did not end well: %v\n%s", err, out.String())
	}
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
