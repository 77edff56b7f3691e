// Package daemon is what the long-running programs have in common: flags that the environment can stand in for, logs,
// waiting for Postgres at start, and a health check on themselves.
package daemon

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/audit"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/internal/redisurl"
)

// Settings are the flags that every program has.
type Settings struct {
	Listen      string
	Database    string
	Redis       string
	SealKey     string
	SealKept    string
	LogFormat   string
	LogLevel    slog.Level
	StartWithin time.Duration
	Healthcheck bool
}

// Define defines the flags in fs. listen is the default address.
func (s *Settings) Define(fs *flag.FlagSet, listen string) {
	fs.StringVar(&s.Listen, "listen", listen, "`address` to answer HTTP on")
	fs.StringVar(&s.Database, "database", "", "`URL` of Postgres, as the application's role: postgres://holdfast_app@host/holdfast")
	fs.StringVar(&s.Redis, "redis", "", "`URL` of Redis: redis://host:6379, with addr= for a cluster, with master_name= for sentinels")
	fs.StringVar(&s.SealKey, "seal-key", "", "`file` of the key that the projector seals the log with (holdfast audit keygen); the environment may have the key itself")
	fs.StringVar(&s.SealKept, "seal-checkpoint", "", "`file` that keeps the newest checkpoint, on storage of the projector's own: a log that does not go on from it is not sealed")
	fs.StringVar(&s.LogFormat, "log", "text", "log as `text or json`")
	fs.TextVar(&s.LogLevel, "log-level", slog.LevelInfo, "least `level` that is logged: debug, info, warn, error")
	fs.DurationVar(&s.StartWithin, "start-within", 30*time.Second, "how long to wait for Postgres at start")
	fs.BoolVar(&s.Healthcheck, "healthcheck", false, "ask the program that listens on --listen whether it is ready, and exit with the answer")
}

// Parse reads args into the flags of fs; a flag that is not given is taken from the environment: HOLDFAST_LISTEN for
// --listen. Secrets belong there, since arguments are shown by ps. Help that was asked for is flag.ErrHelp.
func Parse(fs *flag.FlagSet, args []string, getenv func(string) string) error {
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	var errs []error
	fs.VisitAll(func(f *flag.Flag) {
		name := "HOLDFAST_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value := getenv(name)
		if value == "" || given[f.Name] || f.Name == "healthcheck" {
			return
		}
		if err := fs.Set(f.Name, value); err != nil {
			errs = append(errs, fmt.Errorf("environment variable %s: %w", name, err))
		}
	})
	return errors.Join(errs...)
}

// Logger returns the logger that the flags ask for.
func (s *Settings) Logger(w io.Writer) (*slog.Logger, error) {
	options := &slog.HandlerOptions{Level: s.LogLevel}
	switch s.LogFormat {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, fmt.Errorf("--log %s: must be text or json", s.LogFormat)
}

// OpenLog opens the log, waiting for a Postgres that does not answer yet.
func (s *Settings) OpenLog(ctx context.Context, logger *slog.Logger) (*eventlog.Log, error) {
	if s.Database == "" {
		return nil, errors.New("no database: give --database or HOLDFAST_DATABASE")
	}
	const first, longest = 100 * time.Millisecond, 2 * time.Second
	start := time.Now()
	for pause := first; ; pause = min(2*pause, longest) {
		log, err := eventlog.Open(ctx, eventlog.Config{URL: s.Database, Logger: logger})
		if err == nil || !errors.Is(err, eventlog.ErrUnavailable) {
			return log, err
		}
		if time.Since(start)+pause > s.StartWithin {
			return nil, fmt.Errorf("waited %s for Postgres: %w", s.StartWithin, err)
		}
		if pause == first {
			logger.Warn("waiting for Postgres", "at_most", s.StartWithin, "error", err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, fmt.Errorf("told to end while waiting for Postgres: %w", ctx.Err())
		}
	}
}

// OpenRedis returns a client for the views. It does not wait: Redis may come and go.
func (s *Settings) OpenRedis() (redis.UniversalClient, error) {
	options, err := redisurl.Parse(s.Redis)
	if err != nil {
		return nil, err
	}
	return redis.NewUniversalClient(options), nil
}

// Sealer returns what seals the log beside the projector; nil without a key, which is said to the logger.
func (s *Settings) Sealer(log *eventlog.Log, logger *slog.Logger) (*audit.Sealer, error) {
	if s.SealKey == "" {
		logger.Warn("the log is not sealed here, as there is no key: make one with 'holdfast audit keygen FILE', and give it with --seal-key or HOLDFAST_SEAL_KEY")
		return nil, nil
	}
	key, err := audit.LoadKey(s.SealKey)
	if err != nil {
		return nil, fmt.Errorf("--seal-key: %w", err)
	}
	sealer := audit.NewSealer(log, key, logger)
	if s.SealKept != "" {
		if err := sealer.Keep(s.SealKept); err != nil {
			return nil, fmt.Errorf("--seal-checkpoint: %w", err)
		}
	}
	return sealer, nil
}

// CheckReady asks the program that listens on --listen whether it is ready.
func (s *Settings) CheckReady(ctx context.Context) error {
	host, port, err := net.SplitHostPort(s.Listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy: it is this machine
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", resp.Status)
	}
	return nil
}
