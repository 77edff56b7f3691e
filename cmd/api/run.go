package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/audit"
	"github.com/holdfast-config/holdfast/internal/daemon"
	"github.com/holdfast-config/holdfast/projections"
)

type settings struct {
	daemon.Settings
	hosts                []string
	allowUnauthenticated bool
	project              bool
	maxWatchers          int
	reveal               bool
	notReady             time.Duration
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) error {
	set, err := parse(args, getenv, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if set.Healthcheck {
		return set.CheckReady(ctx)
	}
	logger, err := set.Logger(stderr)
	if err != nil {
		return err
	}
	ln, err := set.listen()
	if err != nil {
		return err
	}
	defer ln.Close()
	return set.serve(ctx, ln, logger)
}

func parse(args []string, getenv func(string) string, stderr io.Writer) (*settings, error) {
	set := &settings{}
	fs := flag.NewFlagSet("api", flag.ContinueOnError)
	fs.SetOutput(stderr)
	set.Define(fs, "127.0.0.1:8080")
	fs.BoolVar(&set.allowUnauthenticated, "allow-unauthenticated", false,
		"listen on an address that is not loopback, though whoever reaches it may read and write everything")
	fs.Func("hosts", "further `names`, joined by commas, that the Host of a request to a loopback address may have", func(names string) error {
		set.hosts = strings.Split(strings.ToLower(names), ",")
		return nil
	})
	fs.BoolVar(&set.project, "projector", false,
		"project in this process too, or stand by: what is posted here then reaches Redis without a detour through the database")
	fs.IntVar(&set.maxWatchers, "max-watchers", api.DefaultMaxWatchers, "how many watches of namespaces to take at once")
	fs.BoolVar(&set.reveal, "reveal-sensitive", false, "show sensitive values to everyone who asks for them (?reveal=true), as callers are not told apart yet")
	fs.DurationVar(&set.notReady, "drain-for", 0, "how long to go on answering, while /readyz says no, before the end; for load balancers")
	return set, daemon.Parse(fs, args, getenv)
}

// listen refuses what others than this machine can reach: there is no authentication yet.
func (set *settings) listen() (net.Listener, error) {
	addr, err := net.ResolveTCPAddr("tcp", set.Listen)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	if !addr.IP.IsLoopback() && !set.allowUnauthenticated {
		return nil, fmt.Errorf("--listen %s: whoever reaches this address could read and write everything, as there is no authentication yet; "+
			"listen on 127.0.0.1, or pass --allow-unauthenticated if only those who may do so can reach it", set.Listen)
	}
	ln, err := net.ListenTCP("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	return ln, nil
}

func (set *settings) serve(ctx context.Context, ln net.Listener, logger *slog.Logger) error {
	defer daemon.SpareCollections()()
	daemon.QuietRedis(logger)
	log, err := set.OpenLog(ctx, logger)
	if err != nil {
		return err
	}
	defer log.Close()
	cfg := api.Config{Log: log, Logger: logger, Hosts: set.hosts, MaxWatchers: set.maxWatchers, MayReveal: api.RevealIf(set.reveal)}
	project := func(context.Context) error { return nil }
	var sealer *audit.Sealer
	switch {
	case set.Redis != "":
		rdb, err := set.OpenRedis()
		if err != nil {
			return err
		}
		defer rdb.Close()
		cfg.Redis = rdb
		if set.project {
			projector := projections.New(log, rdb, projections.Config{Logger: logger})
			project, cfg.Projector = projector.Run, projector.Status
			if sealer, err = set.Sealer(log, logger); err != nil {
				return err
			}
			if sealer != nil {
				cfg.Sealer = sealer.Status
			}
		}
	case set.project:
		return errors.New("--projector needs --redis or HOLDFAST_REDIS")
	default:
		logger.Warn("no --redis: values are read from the log")
	}
	logger.Info("serving", "address", ln.Addr().String(), "projector", set.project)
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return project(running) })
	group.Go(func() error { sealer.Run(running); return nil })
	group.Go(func() error { return api.ServeBehind(running, ln, api.New(cfg), logger, set.notReady) })
	return group.Wait()
}
