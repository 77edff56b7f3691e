package devservers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Postgres is a private cluster. It listens on a Unix socket in a directory that only the user running it can enter, and
// nowhere else; so it asks for no password.
type Postgres struct {
	URL     string // as superuser, database "postgres"
	Version string // "15.18"
	PID     int    // of the postmaster

	child   *child
	socket  string // directory of the socket
	scratch string // directory to remove when it is down; empty: none
}

// PostgresConfig says how to run a private cluster.
type PostgresConfig struct {
	Dir      string            // data, socket and log live here; made if missing; a second start finds the data of the first. Empty: a temporary one
	Settings map[string]string // server settings beyond the defaults, e.g. "fsync": "off"
	Logger   *slog.Logger      // default: slog.Default
}

// StartPostgres runs a private cluster, as an unprivileged user when run by root.
func StartPostgres(ctx context.Context, cfg PostgresConfig) (*Postgres, error) {
	p, err := startPostgres(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	return p, nil
}

func startPostgres(ctx context.Context, cfg PostgresConfig) (*Postgres, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	user, err := unprivileged()
	if err != nil {
		return nil, err
	}
	p := &Postgres{}
	if cfg.Dir == "" {
		if cfg.Dir, err = os.MkdirTemp("", "holdfast-pg-"); err != nil {
			return nil, err
		}
		p.scratch = cfg.Dir
	}
	dir, err := user.own(cfg.Dir)
	if err == nil {
		err = p.placeSocket(dir, user)
	}
	if err == nil {
		err = p.run(ctx, cfg, dir, user)
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	p.URL = p.URLFor("postgres", "postgres")
	if err := p.ready(ctx); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	orDefault(cfg.Logger).Info("postgres runs", "version", p.Version, "dir", dir, "pid", p.PID)
	return p, nil
}

// placeSocket puts the socket into dir, unless its path would be longer than an address can be (103 bytes on macOS).
func (p *Postgres) placeSocket(dir string, user *account) error {
	p.socket = dir
	if len(dir)+len("/.s.PGSQL.5432") <= 103 {
		return nil
	}
	short, err := os.MkdirTemp("/tmp", "holdfast-pg-")
	if err != nil {
		return err
	}
	p.socket, p.scratch = short, short
	_, err = user.own(short)
	return err
}

// run makes the cluster if there is none, and starts it.
func (p *Postgres) run(ctx context.Context, cfg PostgresConfig, dir string, user *account) error {
	data := filepath.Join(dir, "data")
	bin, err := binaries(ctx, data, orDefault(cfg.Logger))
	if err != nil {
		return err
	}
	base := command{dir: dir, user: user, scratch: p.scratch, ending: postgresEnding}
	if err := initialize(ctx, base, bin, data, cfg.Settings["fsync"] == "off"); err != nil {
		return err
	}
	settings := map[string]string{
		"listen_addresses":        "",
		"port":                    "5432", // names the socket
		"unix_socket_directories": p.socket,
		"unix_socket_permissions": "0700",
		"logging_collector":       "off",
		"log_destination":         "stderr",
	}
	for name, value := range cfg.Settings {
		settings[name] = value
	}
	serve := base
	serve.log = "postgres.log"
	serve.args = []string{filepath.Join(bin, "postgres"), "-D", data}
	for name, value := range settings {
		serve.args = append(serve.args, "-c", name+"="+value)
	}
	serve.before = func() error {
		// Who holds the lock knows that it is stale; Postgres itself can not, where process ids come again.
		if err := os.Remove(filepath.Join(data, "postmaster.pid")); !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
	if p.child, err = start(ctx, serve); err != nil {
		return err
	}
	p.PID = p.child.pid
	return nil
}

// initialize makes a cluster in data, whole or not at all.
func initialize(ctx context.Context, cmd command, bin, data string, hasty bool) error {
	if _, err := os.Stat(data); err == nil {
		return nil
	}
	making := data + ".new"
	cmd.log = "initdb.log"
	cmd.before = func() error { return os.RemoveAll(making) }
	cmd.args = []string{filepath.Join(bin, "initdb"), "--pgdata", making, "--username", "postgres",
		"--auth", "trust", "--encoding", "UTF8", "--locale", "C"}
	if hasty {
		cmd.args = append(cmd.args, "--no-sync")
	}
	c, err := start(ctx, cmd)
	if err != nil {
		return err
	}
	err = c.wait(ctx)
	if stopErr := c.stop(); err == nil {
		err = stopErr
	}
	if err != nil {
		return err
	}
	return os.Rename(making, data)
}

// ready waits until the server answers.
func (p *Postgres) ready(ctx context.Context) error {
	var last error
	err := poll(ctx, func() bool {
		if p.child.poll() {
			last = p.child.failure()
			return true
		}
		last = p.ask(ctx)
		return last == nil
	})
	if err != nil {
		return fmt.Errorf("no answer: %w", last)
	}
	return last
}

// ask connects and learns the version.
func (p *Postgres) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.URL)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var version string
	if err := conn.QueryRow(ctx, "SHOW server_version").Scan(&version); err != nil {
		return err
	}
	p.Version, _, _ = strings.Cut(version, " ")
	return nil
}

// URLFor returns the connection URL for a role and a database.
func (p *Postgres) URLFor(role, database string) string {
	// What is not named here a client would take from PGPORT and the like.
	query := url.Values{"host": {p.socket}, "port": {"5432"}, "sslmode": {"disable"}}
	encoded := strings.ReplaceAll(query.Encode(), "+", "%20") // to Postgres' clients + is no space
	u := url.URL{Scheme: "postgres", User: url.User(role), Path: "/" + database, RawQuery: encoded}
	return u.String()
}

// Wait returns when the server has ended, with what it last wrote if that was no orderly end, or with ctx's error.
func (p *Postgres) Wait(ctx context.Context) error { return p.child.wait(ctx) }

// Close stops the cluster and waits until it is down.
func (p *Postgres) Close() error {
	var err error
	if p.child != nil {
		err = p.child.stop()
	}
	if p.scratch != "" {
		err = errors.Join(err, os.RemoveAll(p.scratch))
	}
	return err
}
