package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
)

// An export is verified offline; one that was meddled with is not, and the position is named as far as it can be.
func TestAuditVerifyFile(t *testing.T) {
	s := start(t, nil)
	s.ok(t, "create", "demo", "--open")
	s.ok(t, "set", "demo/a=1", "demo/b=2")
	s.awaitSealed(t)
	kept := filepath.Join(t.TempDir(), "kept")
	s.ok(t, "audit", "verify", "--save", kept)
	s.ok(t, "set", "demo/a=\"Grüße\"", "demo/c=3")
	s.awaitSealed(t)
	resp, err := http.Get(s.api + "/v1/log/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	verify := func(text []byte) (int, string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "log.ndjson")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		code, stdout, stderr := s.holdfast(t, "audit", "verify", "--api", "http://127.0.0.1:1", "--file", file, "--since", kept)
		return code, stdout + stderr
	}
	if code, got := verify(text); code != exitOK || !strings.Contains(got, "verified 5 events") {
		t.Errorf("exit code %d: %s", code, got)
	}
	for _, test := range []struct{ old, new, want string }{
		{`"actor":"ann"`, `"actor":"eve"`, "from position 1 to 3"},
		{"Grüße", "Gruß", "from position 4 to 5"},
		{`{"position":5,`, `{"position":6,`, "position 5 is missing: after 4 comes 6"},
	} {
		if code, got := verify(bytes.Replace(text, []byte(test.old), []byte(test.new), 1)); code != exitError || !strings.Contains(got, test.want) {
			t.Errorf("%s: exit code %d: %s", test.new, code, got)
		}
	}
	if code, got := verify(text[:bytes.LastIndex(text, []byte(`{"position":5`))]); code != exitError || !strings.Contains(got, "the log ends at 4") {
		t.Errorf("cut: exit code %d: %s", code, got)
	}
}

// A connection that breaks in the middle is resumed, though the log has grown since; one that always does is told apart from a
// log that is wrong.
func TestAuditVerifyResumes(t *testing.T) {
	var breaks, after atomic.Int32
	var s *system
	s = start(t, func(api http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if after := r.URL.Query().Get("after"); after != "" && after != "0" {
				s.grow(t)
			}
			if r.URL.Path == "/v1/log/events" && breaks.Add(-1) >= 0 {
				w = &breaking{ResponseWriter: w, left: int(after.Load())}
			}
			api.ServeHTTP(w, r)
		})
	})
	s.ok(t, "create", "demo", "--open")
	for range 10 {
		s.ok(t, "set", "demo/a=1", "demo/b=2", "demo/c="+strings.Repeat("x", 100))
		s.ok(t, "unset", "demo/a", "demo/b", "demo/c")
	}
	s.awaitSealed(t)
	breaks.Store(3)
	after.Store(900)
	if got := s.ok(t, "audit", "verify"); !strings.Contains(got, "verified 61 events") {
		t.Errorf("got %s", got)
	}
	breaks.Store(1_000)
	after.Store(50)
	if code, _, got := s.holdfast(t, "audit", "verify"); code != exitUnreachable || !strings.Contains(got, "broke off") {
		t.Errorf("exit code %d: %s", code, got)
	}
}

// grow appends an event and waits until it is sealed.
func (s *system) grow(t *testing.T) {
	_, err := s.log.Append(t.Context(), eventlog.Request{Namespace: "demo", Actor: "bob"}, func(config.Tree) ([]events.Event, error) {
		return []events.Event{events.ValueSet{Key: "grown", Value: "1"}}, nil
	})
	if err != nil {
		t.Error(err)
	}
	s.awaitSealed(t)
}

// breaking is a connection that breaks after so many bytes.
type breaking struct {
	http.ResponseWriter
	left int
}

func (b *breaking) Unwrap() http.ResponseWriter { return b.ResponseWriter }

func (b *breaking) Write(p []byte) (int, error) {
	if len(p) > b.left {
		b.ResponseWriter.Write(p[:b.left])
		http.NewResponseController(b.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	b.left -= len(p)
	return b.ResponseWriter.Write(p)
}
