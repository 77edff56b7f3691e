package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-config/holdfast/internal/daemon"
)

var quiet = slog.New(slog.DiscardHandler)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer daemon.SpareCollections()() // as in the programs
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 3 {
		switch args[0] {
		case "serve-bare":
			return serveBare(ctx, args[1], args[2])
		case "watch-holdfast":
			return watch(ctx, watchHoldfast, args)
		case "watch-etcd":
			return watch(ctx, watchEtcd, args)
		case "watch-bare":
			return watch(ctx, watchBare, args)
		}
	}
	return measure(ctx, args)
}

// watch is this program as the watching process of one side.
func watch(ctx context.Context, side func(ctx context.Context, server string, total int) error, args []string) error {
	total, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	return side(ctx, args[1], total)
}

// bench is one run.
type bench struct {
	rounds   int
	duration time.Duration
	history  int // events in the log before measuring
	system   *system
	etcd     *etcd
	report   report
	defined  bool
	value    atomic.Int64 // every value posted is a new one
}

var parts = []string{"commands", "http", "seen", "reader", "keys", "readers", "watchers", "history", "replay"}

func measure(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	rounds := flags.Int("rounds", 3, "rounds of each measurement; the median counts")
	seconds := flags.Int("seconds", 3, "seconds of each measurement in a round")
	history := flags.Int("events", 1_000_000, "events in the log before measuring")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen := flags.Args()
	if len(chosen) == 0 {
		chosen = parts
	}
	for _, p := range chosen {
		if !slices.Contains(parts, p) {
			return fmt.Errorf("unknown part %q; there are %v", p, parts)
		}
	}
	dir, err := os.MkdirTemp("", "holdfast-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // Postgres runs as another user when we are root
		return err
	}
	b := &bench{rounds: *rounds, duration: time.Duration(*seconds) * time.Second, history: *history}
	if err := b.start(ctx, dir, *history); err != nil {
		return err
	}
	defer func() { b.etcd.Close(); err = errors.Join(err, b.system.Close()) }()
	measurements := map[string]func(context.Context) error{
		"commands": b.measureCommands, "http": b.measureHTTP, "seen": b.measureSeen, "reader": b.measureReader, "keys": b.measureKeys,
		"readers": b.measureReaders, "watchers": b.measureWatchers,
		"history": b.measureHistory, "replay": b.measureReplay,
	}
	for _, p := range chosen {
		if err = measurements[p](ctx); err != nil {
			err = fmt.Errorf("%s: %w", p, err)
			break // what was measured before is reported all the same
		}
	}
	fmt.Printf("%s, Postgres %s, %s; median of %d rounds of %v\n\n", machine(), b.system.postgres.Version, b.system.redis.Server, b.rounds, b.duration)
	b.report.print(os.Stdout)
	return err
}

func (b *bench) start(ctx context.Context, dir string, history int) (err error) {
	b.progress("starting servers, %d events in the log", history)
	if b.system, err = startSystem(ctx, dir, history); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, b.system.postgres.URL)
	if err != nil {
		return errors.Join(err, b.system.Close())
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, pgbenchTable); err != nil {
		return errors.Join(err, b.system.Close())
	}
	if b.etcd, err = startEtcd(ctx, dir); err != nil {
		return errors.Join(err, b.system.Close())
	}
	return nil
}

func (b *bench) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "… "+format+"\n", args...)
}
