package readmodel

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/holdfast-config/holdfast/events"
)

// Config says where a [Reader] reads from and what it does when that is down. One of Redis, Source, API and Latest is
// required, or Share; give two, so that changes arrive while Redis is down.
type Config struct {
	// Redis is where the views are: redis://user:password@host:6379/0 (rediss:// with TLS, unix:///path for a socket);
	// with &addr=host:port for each further node a cluster, with &master_name=name a primary found through sentinels.
	Redis string
	// Source replaces Redis, for tests and other ways to read. It is closed with the reader.
	Source Source

	// API is where the latest events come from while Redis is down, and where Redis is not named at all:
	// http://host:8080 or https://.
	API string
	// Latest replaces API: the log itself, see package pgsource, or another way to read it. It is closed with the reader.
	Latest Source

	// Share is an open reader of the same namespace: the new one uses its sources, and the connections and memory that
	// come with them. Each reader has its own keys, hooks, listeners and Status, and none waits for another's; only what a
	// [Check] does delays all that share. They are closed one by one, in any order: the last closes the sources. None of
	// Redis, Source, API, Latest and SnapshotDir may be given with it: the snapshot on disk is kept by the reader that
	// names the folder, while that is open. Open fails with [ErrClosed] when all readers that share are closed.
	Share *Reader

	// SnapshotDir is a folder in which the reader keeps its last snapshot, in a file of the namespace's name with mode
	// 0600, written anew at most every 3 s and at Close. Open starts from it when no source answers. Readers of
	// one namespace may share it. Default: none is kept.
	SnapshotDir string
	// SnapshotSensitive also writes values that are marked as sensitive, in plain text. Default: they are left out, and
	// a program that starts from disk has its own defaults for them.
	SnapshotSensitive bool

	// Wait is how long Open waits for a source. Default: 2 s if it could go on without (a snapshot is on disk, or
	// AllowDefaults), else 10 s.
	Wait time.Duration
	// RequireFresh makes Open fail unless a source confirms that nothing is missing. Default: Open takes what there is.
	RequireFresh bool
	// AllowDefaults lets Open succeed with nothing at all: each key then has the default that the program declares.
	// Default: Open fails.
	AllowDefaults bool

	// MaxStale is for how long what is shown may be unconfirmed before [Reader.Health] fails. Default: for ever; only a
	// reader that has nothing to show is not healthy.
	MaxStale time.Duration

	// Keys are the keys that the program reads: their values are decoded before they are shown, from the first on, and
	// compared with the namespace as Mismatch says, once a source has been reached. Default: none; a key is known from
	// its first read on.
	Keys []Declared
	// Mismatch is what to do about keys that the namespace does not know, or knows to be of another kind, when the reader
	// is opened: those in Keys, and those of a struct at [Bind]. Default: [Warn].
	Mismatch Mismatch
	// PrepareTimeout is how long a function given to [Reader.Prepare] may take; one that takes longer vetoes. Default: 10 s.
	PrepareTimeout time.Duration

	// App and Instance are how the reader calls itself where a namespace's instances are listed. Default: the program's
	// name; host, process and some letters, unique.
	App, Instance string
	// NoReports keeps the reader out of that list: it then writes nothing to Redis. Default: it reports
	// about every 5 s while it follows Redis.
	NoReports bool

	// Logger gets state changes, never values. Default: slog.Default.
	Logger *slog.Logger
}

func (cfg Config) withDefaults() Config {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.PrepareTimeout <= 0 {
		cfg.PrepareTimeout = prepareTime
	}
	return cfg
}

// patience is how long Open waits.
func (cfg Config) patience(onDisk bool) time.Duration {
	switch {
	case cfg.Wait > 0:
		return cfg.Wait
	case !cfg.RequireFresh && (onDisk || cfg.AllowDefaults):
		return 2 * time.Second
	}
	return 10 * time.Second
}

// sharing says why a reader of ns can not share the sources of cfg.Share, or nil.
func (cfg Config) sharing(ns events.Namespace) error {
	switch {
	case cfg.Redis != "" || cfg.Source != nil || cfg.API != "" || cfg.Latest != nil || cfg.SnapshotDir != "":
		return errors.New("Config.Share is given: Redis, Source, API, Latest and SnapshotDir are those of the reader that is shared")
	case cfg.Share.namespace != ns:
		return fmt.Errorf("Config.Share reads %s", cfg.Share.namespace)
	}
	return nil
}

// sources are those to read from, in order.
func (cfg Config) sources() ([]Source, error) {
	first, latest := cfg.Source, cfg.Latest
	var err error
	if first == nil && cfg.Redis != "" {
		if first, err = newRedisSource(cfg.Redis, cfg.Logger); err != nil {
			return nil, err
		}
	}
	if latest == nil && cfg.API != "" {
		if latest, err = newAPISource(cfg.API); err != nil {
			return nil, err
		}
	}
	var all []Source
	for _, s := range []Source{first, latest} {
		if s != nil {
			all = append(all, s)
		}
	}
	if all == nil {
		return nil, errors.New("neither Config.Redis nor Config.Source, Config.API or Config.Latest is given: there is nothing to read from")
	}
	return all, nil
}
