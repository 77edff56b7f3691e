package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// edge is what every request passes before it is routed: it gets an id, is refused if its path, Host or origin is not
// as it should be, is logged, and a panic in it becomes a problem.
type edge struct {
	next    http.Handler
	logger  *slog.Logger
	hosts   []string
	origins http.CrossOriginProtection
}

// exchange is a request under way, and the ResponseWriter of what comes after the edge.
type exchange struct {
	http.ResponseWriter
	id     string
	status int   // 0: nothing written yet
	cause  error // why the answer is a 5xx
}

func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	return x.ResponseWriter.Write(b)
}

// Unwrap lets deadlines be set through x.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

type exchangeKey struct{}

// noteCause keeps the cause of an error that is answered without it, for the log.
func noteCause(ctx context.Context, cause error) {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok && cause != nil {
		x.cause = cause
	}
}

func (e *edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	x := &exchange{ResponseWriter: w, id: requestID(r)}
	h := w.Header()
	h.Set(HeaderRequestID, x.id)
	h.Set("Cache-Control", "private, no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
	defer func() {
		if v := recover(); v != nil {
			e.recovered(x, v)
		}
		e.report(x, r, time.Since(start))
		if x.status == aborted {
			panic(http.ErrAbortHandler)
		}
	}()
	if p := e.refuse(r); p != nil {
		writeProblem(x, p)
		return
	}
	e.next.ServeHTTP(x, r)
}

// aborted is the status of an exchange whose answer can not be finished: the connection is cut, so that half an answer
// is not taken for a whole one.
const aborted = -1

func (e *edge) recovered(x *exchange, v any) {
	if v != http.ErrAbortHandler {
		text := fmt.Sprintf("%T", v) // its own text may hold a setting's value
		if bug, ok := v.(runtime.Error); ok {
			text = bug.Error()
		}
		x.cause = fmt.Errorf("panic: %s\n%s", text, debug.Stack())
	}
	if x.status != 0 || v == http.ErrAbortHandler {
		x.status = aborted
		return
	}
	writeProblem(x, problemOf(x.cause))
}

// report logs the request: how it was routed, never what was in it.
func (e *edge) report(x *exchange, r *http.Request, took time.Duration) {
	level := slog.LevelDebug
	switch {
	case r.Context().Err() != nil && x.status != http.StatusInternalServerError: // the client is gone
	case x.status == http.StatusInternalServerError || x.status == aborted:
		level = slog.LevelError
	case x.status > http.StatusInternalServerError && r.Pattern != readyRoute: // which is asked every few seconds
		level = slog.LevelWarn
	}
	if !e.logger.Enabled(r.Context(), level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", r.Method), slog.String("route", r.Pattern), slog.Int("status", x.status),
		slog.Duration("took", took), slog.String("request_id", x.id),
	}
	if x.cause != nil {
		attrs = append(attrs, slog.String("cause", x.cause.Error()))
	}
	e.logger.LogAttrs(r.Context(), level, "request", attrs...)
}

// refuse says why a request does not get as far as the routes.
func (e *edge) refuse(r *http.Request) *Problem {
	if p := e.refuseHost(r); p != nil {
		return p
	}
	if err := e.origins.Check(r); err != nil {
		return newProblem(ProblemCrossOrigin, err.Error())
	}
	// Names need no escapes, so that a path has one spelling, and none that two programs read in two ways.
	escaped := r.URL.EscapedPath()
	if at := strings.IndexByte(escaped, '%'); at >= 0 {
		return newProblem(ProblemBadName, fmt.Sprintf("path: a percent escape at byte %d, after %q; names have none", at, tail(escaped[:at])))
	}
	if strings.Contains(escaped, "//") || path.Clean(escaped) != strings.TrimSuffix(escaped, "/") && escaped != "/" {
		return newProblem(ProblemBadName, "path: has an empty, '.' or '..' part; names have none")
	}
	return nil
}

// refuseHost refuses a name that is not ours on a loopback connection. A web page of any site can give its name the
// address 127.0.0.1 and then is of the same origin for the browser; the Host it sends gives it away.
func (e *edge) refuseHost(r *http.Request) *Problem {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok || !local.IP.IsLoopback() {
		return nil
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	ip := net.ParseIP(strings.Trim(host, "[]"))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback() || slices.Contains(e.hosts, host) {
		return nil
	}
	return newProblem(ProblemWrongHost, "on a loopback address the Host must be localhost, a loopback address, or a name that the server was told")
}

// tail is the end of s, short enough for an error text.
func tail(s string) string { return s[max(0, len(s)-64):] }

// requestID takes the id that the caller gave, if it is fit for a log line, else makes one.
func requestID(r *http.Request) string {
	id := r.Header.Get(HeaderRequestID)
	if id == "" || len(id) > 64 || strings.IndexFunc(id, func(c rune) bool { return c <= ' ' || c > '~' }) >= 0 {
		return uuid.NewString()
	}
	return id
}

// noRoute answers what no route takes: 405 if the path has routes for other methods, else 404.
func noRoute(mux *http.ServeMux) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var allowed []string
		for _, method := range []string{http.MethodDelete, http.MethodGet, http.MethodPost, http.MethodPut} {
			other := *r
			other.Method = method
			if _, pattern := mux.Handler(&other); pattern != "/" && pattern != "" {
				allowed = append(allowed, method)
			}
		}
		if len(allowed) == 0 {
			writeProblem(w, newProblem(ProblemNoRoute, "the routes are in /openapi.json"))
			return
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		writeProblem(w, newProblem(ProblemMethod, "this path takes "+strings.Join(allowed, ", ")))
	}
}

// writeProblem answers a problem outside of huma.
func writeProblem(w http.ResponseWriter, p *Problem) {
	h := w.Header()
	for name, values := range p.GetHeaders() {
		h[name] = values
	}
	h.Set("Content-Type", p.ContentType(""))
	text, err := json.Marshal(p)
	if err != nil {
		panic(errors.Join(http.ErrAbortHandler, err)) // a struct of strings
	}
	w.WriteHeader(p.Status)
	w.Write(append(text, '\n'))
}
