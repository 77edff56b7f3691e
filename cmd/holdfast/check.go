package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/redisurl"
	"github.com/holdfast-config/holdfast/projections"
)

// databaseFlag is of commands that read the log in Postgres itself.
func (c *cli) databaseFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.databaseURL, "database", "", "`URL` of Postgres, as the application's role (HOLDFAST_DATABASE; default that of a running dev)")
}

// openLog opens the log by flag, environment, or a running dev.
func (c *cli) openLog(ctx context.Context) (*eventlog.Log, error) {
	url := firstOf(c.databaseURL, c.env("HOLDFAST_DATABASE"), findDev().Database)
	if url == "" {
		return nil, usageError{errors.New("the database's URL is missing; give --database or HOLDFAST_DATABASE")}
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	log, err := eventlog.Open(ctx, eventlog.Config{URL: url, Logger: slog.New(slog.DiscardHandler)})
	if errors.Is(err, eventlog.ErrUnavailable) {
		err = unreachableError{err}
	}
	return log, err
}

// openRedis finds Redis as watch does, and asks it whether it is there.
func (c *cli) openRedis(ctx context.Context) (redis.UniversalClient, error) {
	options, err := redisurl.Parse(c.redisAddress())
	if err != nil {
		return nil, usageError{err}
	}
	options.ContextTimeoutEnabled = true
	options.ReadTimeout = c.timeout // a large view comes in one answer
	rdb := redis.NewUniversalClient(options)
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if err := rdb.Ping(ctx).Err(); err != nil {
		rdb.Close()
		return nil, unreachableError{fmt.Errorf("redis at %s does not answer: %w; name it with --redis, if it is another", strings.Join(options.Addrs, ", "), err)}
	}
	return rdb, nil
}

func (c *cli) redisAddress() string {
	return firstOf(c.redisURL, c.env("HOLDFAST_REDIS"), findDev().Redis, defaultRedis)
}

// checkViews compares the views in Redis with the log, and prints how they differ.
func (c *cli) checkViews(ctx context.Context) error {
	rdb, err := c.openRedis(ctx)
	if err != nil {
		return err
	}
	defer rdb.Close()
	log, err := c.openLog(ctx)
	if err != nil {
		return err
	}
	defer log.Close()
	var bar *progressbar.ProgressBar
	checked, err := projections.Check(ctx, log, rdb, func(at, end events.Position) {
		if bar == nil {
			bar = c.progress(int(end), "events")
		}
		_ = bar.Set(int(at)) // that the bar can not be drawn is no reason to stop
	})
	if bar != nil {
		bar.Close()
	}
	if err != nil {
		return err
	}
	return c.printChecked(checked)
}

func (c *cli) printChecked(checked projections.Checked) error {
	what := count(checked.Views, "view") + " with " + count(checked.Keys, "key")
	err := c.print(checked, func(w io.Writer) {
		if len(checked.Differences) == 0 {
			row(w, fmt.Sprintf("%s equal the log, up to position %d", what, checked.Position))
			return
		}
		row(w, "WHERE", "DIFFERENCE")
		for _, d := range checked.Differences {
			row(w, where(d), d.Detail)
		}
	})
	if n := len(checked.Differences) + checked.More; err == nil && n > 0 {
		c.note("%s between %s and the log; to rebuild the views: holdfast replay", count(n, "difference"), what)
		return errDiffers
	}
	return err
}

func where(d projections.Difference) string {
	if d.Namespace == "" {
		return nothing
	}
	return strings.TrimSuffix(address{d.Namespace, d.Key}.String(), "/")
}
