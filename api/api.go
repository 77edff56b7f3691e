package api

import (
	"context"
	"log/slog"
	"net"
	"net/http"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/projections"
)

// Config configures the API. Log is required; the caller owns it and Redis.
type Config struct {
	Log *eventlog.Log
	// Redis has the views; its options should have ContextTimeoutEnabled, else a hung Redis slows reads down. Nil: all
	// reads come from the log.
	Redis redis.UniversalClient
	// Logger gets each request (debug; warn for 5xx) and the causes of internal errors. Default: slog.Default.
	Logger *slog.Logger
	// Projector says how the projector does, where it runs in this process. Default: its heartbeat in Redis is read.
	Projector func() projections.Status
	// Hosts are further names that a request's Host may have on a connection to a loopback address, beside localhost and
	// loopback addresses: those of a reverse proxy on this machine. Any other is refused, so that a web page can not
	// reach the API by giving its own name a loopback address.
	Hosts []string
}

// New returns the handler of all routes.
func New(cfg Config) http.Handler { panic("unwritten") }

// Serve answers on ln until ctx ends. Then it says it is not ready, refuses new connections, waits for the requests
// under way, at most 15 s, and closes what is left. It closes ln. The error is nil after such an end.
func Serve(ctx context.Context, ln net.Listener, h http.Handler, logger *slog.Logger) error {
	panic("unwritten")
}
