package api

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	drainTimeout   = 15 * time.Second
	requestTimeout = 30 * time.Second // for a request to arrive; above what the log takes at most, as its end would cancel the request
	answerTimeout  = 90 * time.Second // from the end of the header to the end of the answer
	maxHeaderBytes = 16 << 10
)

// Serve answers on ln until ctx ends. Then it says it is not ready, refuses new connections, waits for the requests
// under way, at most 15 s, and closes what is left. It closes ln. The error is nil after such an end.
func Serve(ctx context.Context, ln net.Listener, h http.Handler, logger *slog.Logger) error {
	base := context.WithValue(context.WithoutCancel(ctx), drainingKey{}, ctx)
	srv := &http.Server{
		Handler:           h,
		BaseContext:       func(net.Listener) context.Context { return base },
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug), // broken connections, bad handshakes
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil {
		logger.Warn("requests were still under way at shutdown and were cut off", "after", drainTimeout)
		srv.Close()
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

type drainingKey struct{}

// draining returns a context that ends when the server that the request of ctx came to starts to shut down.
func draining(ctx context.Context) context.Context {
	if d, ok := ctx.Value(drainingKey{}).(context.Context); ok {
		return d
	}
	return context.Background()
}
