// Package devservers runs private Postgres and Redis servers for development and tests: found on the machine, else
// downloaded (Postgres) or in-process (Redis). No server outlives the process that started it, even when that is killed.
package devservers

import (
	"context"
	"log/slog"
)

// Postgres is a private cluster, reached over a Unix socket or loopback.
type Postgres struct {
	URL     string // as superuser, database "postgres"
	Version string // "15.18"
}

// PostgresConfig says how to run a private cluster.
type PostgresConfig struct {
	Dir      string            // data, socket and log live here; made if missing; a second start finds the data of the first
	Settings map[string]string // server settings beyond the defaults, e.g. "fsync": "off"
	Logger   *slog.Logger
}

// StartPostgres runs a private cluster, as an unprivileged user when run by root.
func StartPostgres(ctx context.Context, cfg PostgresConfig) (*Postgres, error) { panic("unwritten") }

// URLFor returns the connection URL for a role and a database.
func (p *Postgres) URLFor(role, database string) string { panic("unwritten") }

// Close stops the cluster and waits until it is down.
func (p *Postgres) Close() error { panic("unwritten") }

// Redis is a private Redis, Valkey or miniredis.
type Redis struct {
	URL    string // redis://…
	Server string // "redis-server 7.0.15", "valkey-server 8.0", "miniredis"
	PID    int    // of the server process; 0: in-process
}

// RedisConfig says how to run a private Redis.
type RedisConfig struct {
	Dir       string   // made if missing
	Port      int      // 0: a free one
	InProcess bool     // miniredis even if a server is installed
	Args      []string // further arguments, e.g. "--save", ""
	Logger    *slog.Logger
}

// StartRedis runs redis-server or valkey-server if installed, else miniredis.
func StartRedis(ctx context.Context, cfg RedisConfig) (*Redis, error) { panic("unwritten") }

// Close stops the server and waits until it is down.
func (r *Redis) Close() error { panic("unwritten") }
