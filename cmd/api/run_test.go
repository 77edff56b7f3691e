package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/audit"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

func environment(variables map[string]string) func(string) string {
	return func(name string) string { return variables[name] }
}

// TestRun drives the program from start to end: it listens, is healthy, takes a command, answers it, and goes.
func TestRun(t *testing.T) {
	_, app := testenv.Database(t)
	redis, rdb := testenv.Redis(t)
	before := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stderr testenv.Output
	key, err := audit.GenerateKey("test")
	if err != nil {
		t.Fatal(err)
	}
	env := environment(map[string]string{"HOLDFAST_DATABASE": app, "HOLDFAST_REDIS": redis, "HOLDFAST_LOG": "json", "HOLDFAST_SEAL_KEY": key})
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"--listen", "127.0.0.1:0", "--projector", "--reveal-sensitive"}, env, &stderr)
	}()

	var address string
	testenv.Eventually(t, "the program serves", func() bool {
		if m := regexp.MustCompile(`"address":"([^"]+)"`).FindStringSubmatch(stderr.String()); m != nil {
			address = m[1]
		}
		return address != ""
	})
	if err := run(ctx, []string{"--healthcheck", "--listen", address}, env, io.Discard); err != nil {
		t.Errorf("health check: %v", err)
	}
	base := "http://" + address
	body := `{"commands":[{"do":"create","open":true},{"do":"set","key":"k","value":1}]}`
	resp, err := http.Post(base+"/v1/namespaces/free/commands", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var written api.Written
	if err := json.NewDecoder(resp.Body).Decode(&written); err != nil || written.Position != 2 {
		t.Errorf("got %+v, %v", written, err)
	}
	testenv.Eventually(t, "the same process projects", func() bool {
		head, err := view.LoadHead(t.Context(), rdb, "free")
		return err == nil && head.Position == written.Position && head.Keys == 1
	})
	testenv.Eventually(t, "the same process seals, and says so", func() bool {
		resp, err := http.Get(base + "/readyz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		var r api.Ready
		err = json.NewDecoder(resp.Body).Decode(&r)
		return err == nil && r.Parts["sealing"] == api.Part{OK: true, Active: true, Position: written.Position}
	})
	revealed, err := http.Get(base + "/v1/namespaces/free/values?reveal=true")
	if err != nil {
		t.Fatal(err)
	}
	revealed.Body.Close()
	if revealed.StatusCode != http.StatusOK {
		t.Errorf("with --reveal-sensitive, who asks gets %s", revealed.Status)
	}
	http.DefaultClient.CloseIdleConnections()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := run(t.Context(), []string{"--healthcheck", "--listen", address}, env, io.Discard); err == nil {
		t.Error("the health check of a program that is gone is well")
	}
	goleak.VerifyNone(t, before)
}

// TestRunRefuses: what is wrong is said at once, with what to do, and without a password.
func TestRunRefuses(t *testing.T) {
	_, app := testenv.Database(t)
	empty := testenv.EmptyDatabase(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		name string
		args []string
		env  map[string]string
		want string
	}{
		{"an open address", []string{"--listen", "0.0.0.0:0", "--database", app}, nil, "--allow-unauthenticated"},
		{"no address given", []string{"--listen", ":0", "--database", app}, nil, "--allow-unauthenticated"},
		{"no port", []string{"--listen", "localhost", "--database", app}, nil, "--listen"},
		{"a projector without Redis", []string{"--listen", "127.0.0.1:0", "--database", app, "--projector"}, nil, "HOLDFAST_REDIS"},
		{"a taken port", []string{"--listen", taken.Addr().String(), "--database", app}, nil, "in use"},
		{"no database", []string{"--listen", "127.0.0.1:0"}, nil, "HOLDFAST_DATABASE"},
		{"no schema", []string{"--listen", "127.0.0.1:0", "--database", empty}, nil, "holdfast migrate"},
		{"nobody there", []string{"--listen", "127.0.0.1:0", "--start-within", "1ms", "--database", "postgres://u:hunter2@127.0.0.1:1/d"}, nil, "waited 1ms for Postgres"},
		{"no URL of Redis", []string{"--listen", "127.0.0.1:0", "--database", app, "--redis", "http://:hunter2@localhost"}, nil, "redis URL"},
		{"log format", []string{"--log", "xml"}, nil, "text or json"},
		{"unknown flag", []string{"--lisen", "127.0.0.1:0"}, nil, "lisen"},
		{"an argument", []string{"serve"}, nil, `"serve"`},
		{"environment", nil, map[string]string{"HOLDFAST_START_WITHIN": "soon"}, "HOLDFAST_START_WITHIN"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := run(t.Context(), c.args, environment(c.env), io.Discard)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestHelp: help is no error, and shows no secret of the environment.
func TestHelp(t *testing.T) {
	var stderr testenv.Output
	err := run(t.Context(), []string{"--help"}, environment(map[string]string{"HOLDFAST_DATABASE": "postgres://u:hunter2@h/d"}), &stderr)
	if err != nil || !strings.Contains(stderr.String(), "-listen") || strings.Contains(stderr.String(), "hunter2") {
		t.Errorf("got %v and\n%s", err, &stderr)
	}
}

// TestOpenAddressAllowed: with the flag the program gets past the address, to the next thing that is wrong.
func TestOpenAddressAllowed(t *testing.T) {
	err := run(t.Context(), []string{"--listen", "0.0.0.0:0", "--allow-unauthenticated"}, environment(nil), io.Discard)
	if err == nil || !strings.Contains(err.Error(), "no database") {
		t.Errorf("got %v", err)
	}
}

// TestEndWhileWaiting: a program that waits for Postgres ends when it is told to.
func TestEndWhileWaiting(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var stderr testenv.Output
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"--listen", "127.0.0.1:0", "--database", "postgres://u@127.0.0.1:1/d"}, environment(nil), &stderr)
	}()
	testenv.Eventually(t, "the program waits", func() bool { return strings.Contains(stderr.String(), "waiting for Postgres") })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
