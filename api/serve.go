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
	drainTimeout = 15 * time.Second
	// For a request to arrive. The server watches the connection while it answers, and takes the end of this time for the
	// end of the client: it must be above maxWait and above what the log takes at most.
	requestTimeout = 60 * time.Second
	answerTimeout  = 90 * time.Second // from the end of the header to the end of the answer
	maxHeaderBytes = 16 << 10
)

// Serve answers on ln until ctx ends. Then it refuses new connections, waits for the requests under way, at most 15 s,
// and closes what is left. It closes ln. The error is nil after such an end.
func Serve(ctx context.Context, ln net.Listener, h http.Handler, logger *slog.Logger) error {
	return ServeBehind(ctx, ln, h, logger, 0)
}

// ServeBehind is [Serve] behind a load balancer: when ctx ends, it first answers for notReady as before, except that
// /readyz says that it is shutting down, so that no more requests are sent here by the time connections are refused.
func ServeBehind(ctx context.Context, ln net.Listener, h http.Handler, logger *slog.Logger, notReady time.Duration) error {
	closing, closeNow := context.WithCancel(context.WithoutCancel(ctx))
	defer closeNow()
	base := context.WithValue(context.WithoutCancel(ctx), lifeKey{}, life{draining: ctx, closing: closing})
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
	select {
	case err := <-failed:
		return err
	case <-time.After(notReady):
	}
	closeNow()
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

type lifeKey struct{}

// life is what a request can know of the end of its server.
type life struct {
	draining context.Context // ends when the server should get no more requests
	closing  context.Context // ends when requests under way should come to their end
}

func lifeOf(ctx context.Context) life {
	if l, ok := ctx.Value(lifeKey{}).(life); ok {
		return l
	}
	return life{draining: context.Background(), closing: context.Background()}
}
