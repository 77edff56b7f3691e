package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"

	"golang.org/x/sync/errgroup"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/audit"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/daemon"
	"github.com/holdfast-config/holdfast/projections"
)

// run projects until ctx ends, or until an event comes that this program does not know.
func run(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) error {
	var set daemon.Settings
	fs := flag.NewFlagSet("projector", flag.ContinueOnError)
	fs.SetOutput(stderr)
	set.Define(fs, "127.0.0.1:8081")
	err := daemon.Parse(fs, args, getenv)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case set.Healthcheck:
		return set.CheckReady(ctx)
	case set.Redis == "":
		return errors.New("no Redis: give --redis or HOLDFAST_REDIS")
	}
	logger, err := set.Logger(stderr)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", set.Listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	defer ln.Close()
	return project(ctx, set, ln, logger)
}

func project(ctx context.Context, set daemon.Settings, ln net.Listener, logger *slog.Logger) error {
	defer daemon.SpareCollections()()
	daemon.QuietRedis(logger)
	rdb, err := set.OpenRedis()
	if err != nil {
		return err
	}
	defer rdb.Close()
	log, err := set.OpenLog(ctx, logger)
	if err != nil {
		return err
	}
	defer log.Close()

	projector := projections.New(log, rdb, projections.Config{Logger: logger})
	sealer, err := set.Sealer(log, logger)
	if err != nil {
		return err
	}
	logger.Info("projecting; health is answered", "address", ln.Addr().String())
	// The end of one ends the other: without a projector there is no health to tell.
	ctx, end := context.WithCancel(ctx)
	defer end()
	var group errgroup.Group
	group.Go(func() error { defer end(); return projector.Run(ctx) })
	group.Go(func() error { sealer.Run(ctx); return nil })
	group.Go(func() error { defer end(); return api.Serve(ctx, ln, health(projector.Status, sealer), logger) })
	return group.Wait()
}

// ready is the answer to GET /readyz. A projector that stands by is ready.
type ready struct {
	Ready    bool   `json:"ready"`
	Active   bool   `json:"active"` // elected; the others stand by
	Term     int64  `json:"term"`
	Position int64  `json:"position"` // projected
	Head     int64  `json:"head"`     // of the log
	Why      string `json:"why,omitempty"`
	Sealing  *seal  `json:"sealing,omitempty"` // absent without a key
}

// seal is how sealing does. It has nothing to do with being ready.
type seal struct {
	Active   bool            `json:"active"` // elected; the others stand by
	Position events.Position `json:"position"`
	Why      string          `json:"why,omitempty"`
}

func sealing(sealer *audit.Sealer) *seal {
	if sealer == nil {
		return nil
	}
	st := sealer.Status()
	s := &seal{Active: st.Active, Position: st.Size}
	if st.Err != nil {
		s.Why = st.Err.Error()
	}
	return s
}

func health(status func() projections.Status, sealer *audit.Sealer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, struct{}{}) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		st := status()
		body := ready{Ready: st.Err == nil, Active: st.Active, Term: st.Term, Position: st.Position, Head: st.Head, Sealing: sealing(sealer)}
		code := http.StatusOK
		if st.Err != nil {
			body.Why, code = st.Err.Error(), http.StatusServiceUnavailable
		}
		answer(w, code, body)
	})
	return mux
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(body) // the client may be gone
}
