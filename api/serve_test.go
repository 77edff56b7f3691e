package api_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/projections"
)

// TestServeDrains: when its context ends the server says that it is not ready while it goes on answering, then refuses
// connections, answers those who wait for a position at once, and leaves nothing running.
func TestServeDrains(t *testing.T) {
	log := testenv.Log(t)
	before := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	ended := make(chan error, 1)
	go func() {
		ended <- api.ServeBehind(ctx, ln, api.New(api.Config{Log: log, Logger: logger}), logger, time.Second)
	}()

	waiting := send(t, ln.Addr(), "/v1/events?min_position=1&wait=30s")
	if got := send(t, ln.Addr(), "/readyz")(); !strings.HasPrefix(got, "HTTP/1.1 200") {
		t.Errorf("got %s", got)
	}
	cancel()
	testenv.Eventually(t, "readyz says that the server is shutting down", func() bool {
		got := send(t, ln.Addr(), "/readyz")()
		return strings.HasPrefix(got, "HTTP/1.1 503") && strings.Contains(got, "is shutting down")
	})
	if got := send(t, ln.Addr(), "/livez")(); !strings.HasPrefix(got, "HTTP/1.1 200") {
		t.Errorf("not ready, but still serving: got %s", got)
	}
	if got := waiting(); !strings.HasPrefix(got, "HTTP/1.1 503") || !strings.Contains(got, api.ProblemUnavailable) {
		t.Errorf("waiting for a position at the end: got %s", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		conn.Close()
		t.Error("a connection was taken after the end")
	}
	goleak.VerifyNone(t, before)
}

// send sends a GET; the function that it returns waits for the answer.
func send(t *testing.T, addr net.Addr, path string) func() string {
	t.Helper()
	conn, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return func() string {
		t.Helper()
		text, err := io.ReadAll(conn)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

// TestRequestLog: a request is logged by its route, with its id, and nothing of what was in it.
func TestRequestLog(t *testing.T) {
	var text testenv.Output
	logger := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c := serveConfig(t, api.Config{Log: testenv.Log(t), Logger: logger})
	c.post("free", `{"do":"create","open":true}`)
	a := c.do("PUT", "/v1/namespaces/free/values/k", `{"value":"`+secret+`","reason":"`+secret+`"}`, api.HeaderRequestID, "my-id")
	if got := a.header.Get(api.HeaderRequestID); a.status != http.StatusOK || got != "my-id" {
		t.Errorf("got %d, id %s", a.status, got)
	}
	c.do("DELETE", "/v1/namespaces/free/values/k?reason="+secret, "", api.HeaderRequestID, "no good")
	c.log.Close()
	last := c.do("GET", "/v1/namespaces/free/values/k?min_position=1&wait=10ms", "", api.HeaderRequestID, "last")
	if last.problem(t, api.ProblemUnavailable); last.header.Get("Retry-After") != "2" {
		t.Errorf("got %v", last.header)
	}
	for _, want := range []string{
		"level=DEBUG msg=request method=PUT route=\"PUT /v1/namespaces/{namespace}/values/{key}\" status=200",
		"request_id=my-id", "level=WARN msg=request method=GET", "request_id=last cause=",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %s in\n%s", want, &text)
		}
	}
	if strings.Contains(text.String(), secret) || strings.Contains(text.String(), "no good") {
		t.Errorf("the log repeats what was in a request:\n%s", &text)
	}
}

// TestPanic: a panic is a problem without its text, logged once: with its text if it is the runtime's, which has no values.
func TestPanic(t *testing.T) {
	var text testenv.Output
	c := serveConfig(t, api.Config{Log: nil, Logger: slog.New(slog.NewTextHandler(&text, nil))}) // a nil log panics
	p := c.do("GET", "/v1/events", "").problem(t, api.ProblemInternal)
	if strings.Contains(p.Detail, "nil") {
		t.Errorf("got %+v", p)
	}
	if got := strings.Count(text.String(), "nil pointer"); got != 1 {
		t.Errorf("the cause was logged %d times:\n%s", got, &text)
	}

	const secret = "s3cr3t"
	_, rdb := testenv.Redis(t)
	c = serveConfig(t, api.Config{
		Log: testenv.Log(t), Redis: rdb, Logger: slog.New(slog.NewTextHandler(&text, nil)),
		Projector: func() projections.Status { panic("bad value " + secret) },
	})
	c.do("GET", "/readyz", "").problem(t, api.ProblemInternal)
	if got := text.String(); strings.Contains(got, secret) || !strings.Contains(got, "panic: string") {
		t.Errorf("got %s", got)
	}
}

// TestClientGone: a client that goes while it waits is no fault of ours.
func TestClientGone(t *testing.T) {
	var text testenv.Output
	logger := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c := serveConfig(t, api.Config{Log: testenv.Log(t), Logger: logger})
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "GET /v1/events?min_position=1&wait=30s HTTP/1.1\r\nHost: localhost\r\n\r\n")
	conn.Close()
	testenv.Eventually(t, "the request ends", func() bool { return strings.Contains(text.String(), "GET /v1/events") })
	if got := text.String(); strings.Contains(got, "level=WARN") || strings.Contains(got, "level=ERROR") {
		t.Errorf("got %s", got)
	}
}
