package main

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/commands"
	"github.com/holdfast-config/holdfast/events"
)

// fault answers a request badly; each is what a network or a server can do to one.
type fault func(w http.ResponseWriter, r *http.Request)

func hangUp(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		conn.Close()
	}
}

func hang(_ http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body) // only then does the server notice that the client has gone
	<-r.Context().Done()
}

func breakOff(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", "1000")
	w.Write([]byte(`{"namespace":`))
	hangUp(w, r)
}

func answer(status int, kind string) fault {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(api.Problem{Type: kind, Status: status, Title: "title", Detail: "detail"})
	}
}

func gateway(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusBadGateway)
	w.Write([]byte("<html>"))
}

// TestFaults sends a write through each fault, once and for ever: it gets through, with one idempotency key, or says
// what is known.
func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		name    string
		fault   fault
		retried bool
		code    int    // where the fault stays
		says    string // where the fault stays
	}{
		{"connection closed", hangUp, true, exitUnreachable, "outcome unknown"},
		{"no answer", hang, true, exitUnreachable, "outcome unknown: the change may have been made or not; the api at"},
		{"answer broken off", breakOff, true, exitUnreachable, "outcome unknown"},
		{"outcome unknown", answer(504, api.ProblemOutcomeUnknown), true, exitUnreachable, "outcome unknown"},
		{"busy", answer(429, api.ProblemBusy), true, exitUnreachable, "detail"},
		{"unavailable", answer(503, api.ProblemUnavailable), true, exitUnreachable, "detail"},
		{"gateway", gateway, true, exitUnreachable, "502 Bad Gateway"},
		{"refused", answer(422, api.ProblemInvalidValue), false, exitRefused, "refused: detail"},
		{"conflict", answer(409, api.ProblemConflict), false, exitConflict, "conflict: detail"},
		{"key reused", answer(422, api.ProblemKeyReused), false, exitConflict, "conflict: detail"},
		{"not found", answer(404, api.ProblemNamespaceNotFound), false, exitNotFound, "detail"},
		{"internal", answer(500, api.ProblemInternal), false, exitError, "detail"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, text, asked := write(t, tt.fault, 1)
			if tt.retried && (code != exitOK || asked != 2) || !tt.retried && (code != tt.code || asked != 1) {
				t.Errorf("fault once: exit code %d after %d requests: %s", code, asked, text)
			}
			code, text, _ = write(t, tt.fault, 1000)
			if code != tt.code || !strings.Contains(text, tt.says) {
				t.Errorf("fault for ever: got exit code %d, %q; want %d, %q", code, text, tt.code, tt.says)
			}
		})
	}
}

// write posts a change set to a server that has the fault for some requests, and checks that all have the same key.
func write(t *testing.T, fault fault, times int64) (code int, text string, asked int64) {
	t.Helper()
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if key := r.Header.Get(api.HeaderIdempotencyKey); key != "the key" {
			t.Errorf("got idempotency key %q", key)
		}
		if requests.Add(1) <= times {
			fault(w, r)
			return
		}
		json.NewEncoder(w).Encode(api.Written{Namespace: "a", Revision: 1})
	}))
	defer server.Close()
	cl := &client{base: server.URL, timeout: 300 * time.Millisecond, pauses: []time.Duration{time.Millisecond, time.Millisecond}}
	cs := commands.ChangeSet{Namespace: "a", Actor: "ann", Commands: []commands.Command{commands.Set{Key: "b", Value: "1"}}}
	written, err := cl.post(t.Context(), cs, "the key")
	if err != nil {
		return exitCode(err), err.Error(), requests.Load()
	}
	if written.Revision != 1 {
		t.Errorf("got %+v", written)
	}
	return exitOK, "", requests.Load()
}

// TestNobodyThere: a connection that is refused carried nothing, so the outcome is known.
func TestNobodyThere(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	ln.Close()
	cl := &client{base: "http://" + address, timeout: time.Second, pauses: []time.Duration{time.Millisecond}}
	_, err = cl.post(t.Context(), commands.ChangeSet{Namespace: "a", Commands: []commands.Command{commands.Unset{Key: "b"}}}, "k")
	if exitCode(err) != exitUnreachable || strings.Contains(err.Error(), "unknown") {
		t.Errorf("got %v", err)
	}
}

// TestLostAnswer: the change is made, the answer is lost, and the repetition learns what happened. It is made once.
func TestLostAnswer(t *testing.T) {
	var posts atomic.Int64
	s := start(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost && posts.Add(1) == 2 { // the second makes the value, the first the namespace
				h.ServeHTTP(httptest.NewRecorder(), r)
				hangUp(w, r)
				return
			}
			h.ServeHTTP(w, r)
		})
	})
	s.ok(t, "create", "shop", "--open")
	got := s.ok(t, "set", "shop/a=1", "-o", "json")
	var written api.Written
	if err := json.Unmarshal([]byte(got), &written); err != nil {
		t.Fatal(err)
	}
	if !written.Replayed || written.Position != 2 || posts.Load() != 3 {
		t.Errorf("got %+v after %d posts, want the receipt of position 2 after 3", written, posts.Load())
	}
	head, err := s.log.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if head.Position != events.Position(2) {
		t.Errorf("the log ends at %d, want 2", head.Position)
	}
}

func TestExitCodeOfOtherErrors(t *testing.T) {
	if got := exitCode(errors.New("x")); got != exitError {
		t.Errorf("got %d, want %d", got, exitError)
	}
}
