package testenv

import (
	"context"
	"log/slog"
	"os"
	"sync"

	"github.com/holdfast-config/holdfast/internal/devservers"
)

// The environment variables that name the servers of a run.
const (
	PostgresVariable = "HOLDFAST_TEST_POSTGRES"
	RedisVariable    = "HOLDFAST_TEST_REDIS"
)

// quiet drops what servers have to say about starting: it would only stand between the tests.
var quiet = slog.New(slog.DiscardHandler)

// postgresSettings trade the safety of the disk for speed: a killed server loses nothing by them, a crashed machine may.
// With synchronous_commit off a killed server would lose what it had acknowledged.
var postgresSettings = map[string]string{
	"fsync":            "off",
	"full_page_writes": "off",
	"max_connections":  "400",
	"shared_buffers":   "64MB",
	"autovacuum":       "off",
	"jit":              "off",
}

// StartPostgres starts the Postgres for a run of tests, in a temporary directory.
func StartPostgres(ctx context.Context) (*devservers.Postgres, error) {
	return devservers.StartPostgres(ctx, devservers.PostgresConfig{Settings: postgresSettings, Logger: quiet})
}

// StartRedis starts the Redis for a run of tests, with a database number for each.
func StartRedis(ctx context.Context) (*devservers.Redis, error) {
	return devservers.StartRedis(ctx, devservers.RedisConfig{Args: []string{"--databases", "4096"}, Logger: quiet})
}

// sharedPostgres and sharedRedis return the URLs of the servers of this run. A server that is started here ends with the
// process: that is what devservers promises.
var (
	sharedPostgres = sync.OnceValues(func() (string, error) {
		if url := os.Getenv(PostgresVariable); url != "" {
			return url, nil
		}
		server, err := StartPostgres(context.Background())
		if err != nil {
			return "", err
		}
		return server.URL, nil
	})
	sharedRedis = sync.OnceValues(func() (string, error) {
		if url := os.Getenv(RedisVariable); url != "" {
			return url, nil
		}
		server, err := StartRedis(context.Background())
		if err != nil {
			return "", err
		}
		return server.URL, nil
	})
)
