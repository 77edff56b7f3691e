package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/audit"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/internal/devservers"
	"github.com/holdfast-config/holdfast/internal/redisurl"
	"github.com/holdfast-config/holdfast/migrations"
	"github.com/holdfast-config/holdfast/projections"
)

func (c *cli) devCommand() *cobra.Command {
	d := &dev{cli: c}
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run the whole system in one process, for development",
		Long: `Dev runs a private Postgres and a private Redis, found on this machine or made do without, and api and projector in this
process. All data is in one folder: the next start finds it. Ctrl-C ends everything.`,
		Example: "  holdfast dev\n  holdfast dev --listen 127.0.0.1:9000 --data /tmp/holdfast",
		Args:    takes(0, 0),
	}
	cmd.Flags().StringVar(&d.listen, "listen", "127.0.0.1:8080", "loopback address of the api; port 0 takes a free one")
	cmd.Flags().StringVar(&d.data, "data", defaultData, "folder for all data")
	cmd.Flags().StringVar(&d.postgres, "postgres", "", "`URL` of a Postgres to use, as the owner of its database, instead of a private one")
	cmd.Flags().BoolVar(&d.reveal, "reveal-sensitive", false, "show sensitive values to everyone who asks for them")
	cmd.Flags().StringVar(&d.redisURL, "redis", "", "`URL` of a Redis to use instead of a private one")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return d.run(cmd.Context()) }
	return cmd
}

// dev is the whole system in one process. What is started is noted in ends, and ended in the opposite order.
type dev struct {
	*cli
	listen, data, postgres string
	reveal                 bool

	logger  *slog.Logger
	owner   string // URL of Postgres, as the owner of the database
	ends    []func() error
	watches []func(context.Context) error // of servers: each returns when its server has ended, or ctx
}

func (d *dev) run(ctx context.Context) (err error) {
	defer func() {
		for i := len(d.ends) - 1; i >= 0; i-- {
			err = errors.Join(err, d.ends[i]())
		}
		if errors.Is(err, context.Canceled) && ctx.Err() != nil {
			err = nil // Ctrl-C while starting
		}
	}()
	if d.redisURL != "" {
		if _, err := redisurl.Parse(d.redisURL); err != nil {
			return usageError{err}
		}
	}
	if err := d.occupy(); err != nil {
		return err
	}
	ln, err := d.bind()
	if err != nil {
		return err
	}
	d.ends = append(d.ends, func() error { ln.Close(); return nil }) // for a start that fails; else the api closes it
	if d.databaseURL, err = d.startPostgres(ctx); err != nil {
		return err
	}
	redisURL, rdb, err := d.startRedis(ctx)
	if err != nil {
		return err
	}
	log, err := eventlog.Open(ctx, eventlog.Config{URL: d.databaseURL, Logger: d.logger})
	if err != nil {
		return err
	}
	d.ends = append(d.ends, func() error { log.Close(); return nil })
	return d.serve(ctx, ln, log, rdb, redisURL)
}

// occupy takes the data folder for this process and opens the log file in it.
func (d *dev) occupy() error {
	if err := os.MkdirAll(d.data, 0o700); err != nil {
		return fmt.Errorf("the folder for all data: %w; choose another with --data", err)
	}
	lock, err := os.OpenFile(filepath.Join(d.data, "dev.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		if other, running := readDevFile(d.data); running {
			return fmt.Errorf("holdfast dev already runs in %s, at %s (process %d)", d.data, other.API, other.PID)
		}
		return fmt.Errorf("holdfast dev is already starting or ending in %s", d.data)
	}
	d.ends = append(d.ends, lock.Close)
	file, err := os.OpenFile(filepath.Join(d.data, "holdfast.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	d.ends = append(d.ends, file.Close)
	d.logger = slog.New(slog.NewTextHandler(file, nil))
	return nil
}

// bind listens before anything is started, so that a port in use costs no waiting.
func (d *dev) bind() (net.Listener, error) {
	host, _, err := net.SplitHostPort(d.listen)
	if err != nil {
		return nil, usageError{fmt.Errorf("--listen: %w", err)}
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, usageError{fmt.Errorf("--listen %s is not a loopback address; whoever reaches the api of dev may change everything", d.listen)}
	}
	ln, err := net.Listen("tcp", d.listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is in use by another program; end that, or choose another port with --listen", d.listen)
	}
	if err != nil {
		return nil, usageError{fmt.Errorf("--listen: %w", err)}
	}
	return ln, nil
}

// startPostgres returns the URL that the log connects to, and notes the owner's.
func (d *dev) startPostgres(ctx context.Context) (string, error) {
	start := time.Now()
	owner, app, name := d.postgres, d.postgres, "postgres"
	if owner == "" {
		d.note("starting a private postgres …")
		pg, err := devservers.StartPostgres(ctx, devservers.PostgresConfig{Dir: filepath.Join(d.data, "postgres"), Logger: d.logger})
		if err != nil {
			return "", err
		}
		d.ends = append(d.ends, pg.Close)
		d.watches = append(d.watches, func(ctx context.Context) error {
			err := pg.Wait(ctx)
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("the private postgres is gone: %w", cmp.Or(err, errors.New("it was stopped")))
		})
		owner, app, name = pg.URL, pg.URLFor(appRole, "postgres"), "postgres "+pg.Version
	}
	if err := migrations.Up(ctx, owner, appRole, ""); err != nil {
		return "", err
	}
	d.owner = owner
	d.note("%s is ready (%.1f s)", name, time.Since(start).Seconds())
	return app, nil
}

func (d *dev) startRedis(ctx context.Context) (string, redis.UniversalClient, error) {
	start := time.Now()
	url, name := d.redisURL, "redis"
	if url == "" {
		server, err := devservers.StartRedis(ctx, devservers.RedisConfig{Dir: filepath.Join(d.data, "redis"), Logger: d.logger})
		if err != nil {
			return "", nil, err
		}
		d.ends = append(d.ends, server.Close)
		d.watches = append(d.watches, func(ctx context.Context) error {
			if err := server.Wait(ctx); ctx.Err() == nil {
				d.logger.Warn("the private redis is gone", "error", err)
				d.note("the private redis is gone; services go on from memory, and the api reads from the log. Start dev again to have it back")
			}
			return nil
		})
		url, name = server.URL, server.Server
	}
	opts, err := redisurl.Parse(url)
	if err != nil {
		return "", nil, usageError{err}
	}
	opts.ContextTimeoutEnabled = true
	rdb := redis.NewUniversalClient(opts)
	d.ends = append(d.ends, rdb.Close)
	pinging, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	if err := rdb.Ping(pinging).Err(); err != nil {
		return "", nil, unreachableError{fmt.Errorf("redis at %s does not answer: %w", strings.Join(opts.Addrs, ", "), err)}
	}
	d.note("%s is ready (%.1f s)", name, time.Since(start).Seconds())
	return url, rdb, nil
}

// serve runs api and projector until ctx ends or one of them fails. The api ends first, so that the projector still
// projects what the last requests wrote.
func (d *dev) serve(ctx context.Context, ln net.Listener, log *eventlog.Log, rdb redis.UniversalClient, redisURL string) error {
	key, err := d.sealKey()
	if err != nil {
		return err
	}
	sealer := audit.NewSealer(log, key, d.logger)
	if d.postgres == "" { // the folder's checkpoint is that of the folder's own log
		if err := sealer.Keep(filepath.Join(d.data, "seal.checkpoint")); err != nil {
			return err
		}
	}
	projector := projections.New(log, rdb, projections.Config{Logger: d.logger})
	handler := api.New(api.Config{Log: log, Redis: rdb, Logger: d.logger, Projector: projector.Status, Sealer: sealer.Status,
		MayReveal: api.RevealIf(d.reveal)})
	here := devFile{PID: os.Getpid(), API: "http://" + ln.Addr().String(), Redis: redisURL, Database: d.databaseURL, Owner: d.owner}
	if err := here.write(d.data); err != nil {
		return err
	}
	d.ends = append(d.ends, func() error { return os.Remove(devFileIn(d.data)) })
	g, ctx := errgroup.WithContext(ctx)
	projecting, stopProjecting := context.WithCancel(context.WithoutCancel(ctx))
	g.Go(func() error {
		defer stopProjecting()
		return api.Serve(ctx, ln, handler, d.logger)
	})
	g.Go(func() error { return projector.Run(projecting) })
	g.Go(func() error { sealer.Run(projecting); return nil })
	for _, watch := range d.watches {
		g.Go(func() error { return watch(ctx) })
	}
	d.greet(here)
	err = g.Wait()
	d.note("ending …")
	return err
}

// sealKey returns the key in the data folder, which is made the first time.
func (d *dev) sealKey() (audit.Key, error) {
	file := filepath.Join(d.data, "seal.key")
	if _, err := makeKey(file, "dev"); err != nil && !errors.Is(err, fs.ErrExist) {
		return audit.Key{}, err
	}
	return audit.LoadKey(file)
}

// greet says where the system is and what to try, in a form that can be pasted into another terminal.
func (d *dev) greet(here devFile) {
	program, flags := "holdfast", ""
	if exe, err := os.Executable(); err == nil && strings.Contains(exe, "go-build") {
		program = "go run ./cmd/holdfast"
	}
	redisURL := here.Redis
	if u, err := url.Parse(redisURL); err == nil {
		redisURL = u.Redacted() // a password that was given is known to who gave it
	}
	if findDev() != here {
		flags = " --api " + here.API + " --redis " + redisURL
	}
	tries := []string{"create demo --open", "watch demo", "set demo/greeting=hello --reason \"first try\""}
	if _, err := os.Stat("examples/postgres-settings.yaml"); err == nil {
		tries = []string{"import postgres.main -f examples/postgres-settings.yaml", "watch postgres.main",
			"set postgres.main/work_mem=8192 --reason \"bigger sorts\""}
	}
	fmt.Fprintf(d.out, "holdfast is up at %s (HOLDFAST_API)\nServices read from %s (HOLDFAST_REDIS); data is in %s\n\n", here.API, redisURL, d.data)
	fmt.Fprintf(d.out, "Try, in other terminals in this folder:\n\n")
	for _, try := range tries {
		fmt.Fprintf(d.out, "  %s%s %s\n", program, flags, try)
	}
	fmt.Fprintf(d.out, "\nCtrl-C ends everything; the data stays.\n")
}
