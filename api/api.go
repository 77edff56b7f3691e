package api

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/audit"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/projections"
)

// Config configures the API. Log is required; the caller owns it and Redis.
type Config struct {
	Log *eventlog.Log
	// Redis has the views. It must have been opened with ContextTimeoutEnabled, else a hung Redis holds reads up for as
	// long as its own timeouts say. Nil: all reads come from the log.
	Redis redis.UniversalClient
	// Logger gets each request (debug; warn for 5xx) and the causes of internal errors. Default: slog.Default.
	Logger *slog.Logger
	// Projector says how the projector does, where it runs in this process. Default: its heartbeat in Redis is read.
	Projector func() projections.Status
	// Sealer says how sealing does, where the log is sealed in this process. Default: nothing is said of it.
	Sealer func() audit.SealerStatus
	// Hosts are further names that a request's Host may have on a connection to a loopback address, beside localhost and
	// loopback addresses: those of a reverse proxy on this machine. Any other is refused, so that a web page can not
	// reach the API by giving its own name a loopback address.
	Hosts []string
	// MaxWatchers is how many watches this process takes at once. Default: [DefaultMaxWatchers].
	MaxWatchers int
	// MayReveal says whether a caller that asks for sensitive values may see them. Nil: nobody may.
	MayReveal func(*http.Request) bool
}

// server is what the routes share.
type server struct {
	log       *eventlog.Log
	views     *views // nil: no Redis
	logger    *slog.Logger
	projector func() projections.Status
	sealer    func() audit.SealerStatus
	watches   *watches
	mayReveal func(*http.Request) bool
	huma      huma.API
}

// humaErrors makes huma's own errors problems. Huma has one hook for that in the whole process.
var humaErrors sync.Once

// New returns the handler of all routes.
func New(cfg Config) http.Handler {
	humaErrors.Do(func() { huma.NewError = fromHuma })
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.MaxWatchers <= 0 {
		cfg.MaxWatchers = DefaultMaxWatchers
	}
	mux := http.NewServeMux()
	s := &server{log: cfg.Log, logger: cfg.Logger, projector: cfg.Projector, sealer: cfg.Sealer, mayReveal: cfg.MayReveal}
	s.huma = humago.New(mux, openapiConfig())
	s.watches = &watches{hub: newHub(cfg.Log, cfg.Logger), max: int64(cfg.MaxWatchers)}
	if cfg.Redis != nil {
		s.views = newViews(cfg.Redis, cfg.Logger)
	}
	s.huma.UseMiddleware(checkRequest, s.checkReveal)
	s.writes()
	s.shortForms()
	s.restores()
	s.reads()
	s.valueReads()
	s.differences()
	s.histories()
	s.watching()
	s.instanceReads()
	s.logReads()
	s.replays()
	s.health()
	mux.Handle("GET /openapi.json", s.openapi())
	mux.HandleFunc("/", noRoute(mux))
	return &edge{next: mux, logger: cfg.Logger, hosts: cfg.Hosts}
}

// register adds an operation whose errors are answered as problems.
func register[I, O any](s *server, op huma.Operation, answer func(context.Context, *I) (*O, error)) {
	documentErrors(s, &op)
	huma.Register(s.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := answer(ctx, in)
		if err != nil {
			p := problemOf(err)
			noteCause(ctx, p.cause)
			return nil, p
		}
		return out, nil
	})
}

// openapi serves the description of this API. It is written once, when all operations are registered.
func (s *server) openapi() http.HandlerFunc {
	text, err := json.Marshal(s.huma.OpenAPI())
	if err != nil {
		panic(err) // built from constants
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		w.Write(text)
	}
}
