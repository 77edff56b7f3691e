package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/commands"
	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/devservers"
	"github.com/holdfast-config/holdfast/internal/redisurl"
	"github.com/holdfast-config/holdfast/migrations"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// system is Holdfast as it runs in production: Postgres with default durability, Redis, api and projector as processes
// of their own.
type system struct {
	dir       string
	postgres  *devservers.Postgres
	redis     *devservers.Redis
	database  string // URL of the application's role
	api       string // http://127.0.0.1:port; empty until it is started
	projector string // likewise
	both      string // likewise: an api that projects too
	procs     []*exec.Cmd
}

const (
	role     = "holdfast_app"
	database = "holdfast"
	benchNS  = events.Namespace("bench")
	fillNS   = "history"
	fillKeys = 1000
)

// startSystem brings up Postgres, with history events already in the log, and Redis.
func startSystem(ctx context.Context, dir string, history int) (*system, error) {
	s := &system{dir: dir}
	var err error
	if s.postgres, err = devservers.StartPostgres(ctx, devservers.PostgresConfig{
		Dir: filepath.Join(dir, "postgres"), Logger: quiet,
		Settings: map[string]string{"max_connections": "300"}, // pgbench with 256 clients
	}); err != nil {
		return nil, err
	}
	if s.redis, err = devservers.StartRedis(ctx, devservers.RedisConfig{Dir: filepath.Join(dir, "redis"), Logger: quiet}); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.createDatabase(ctx, history); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *system) createDatabase(ctx context.Context, history int) error {
	conn, err := pgx.Connect(ctx, s.postgres.URL)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+database); err != nil {
		return err
	}
	owner := s.postgres.URLFor("postgres", database)
	if err := migrations.Up(ctx, owner, role, ""); err != nil {
		return err
	}
	s.database = s.postgres.URLFor(role, database)
	return fill(ctx, owner, fillNS, history, fillKeys)
}

// fill puts a namespace of so many keys with so many events at the end of the log, as SQL: what is measured is a log that is
// not new.
func fill(ctx context.Context, owner, ns string, history, keys int) error {
	if history == 0 {
		return nil
	}
	conn, err := pgx.Connect(ctx, owner)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `
			INSERT INTO events (position, namespace, revision, type, key, data, actor, reason, at)
			SELECT head.position + n, $2, n,
			       CASE WHEN n = 1 THEN 'namespace.created.v1' ELSE 'value.set.v1' END,
			       CASE WHEN n > 1 THEN 'key' || n % $3 END,
			       CASE WHEN n = 1 THEN '{"open":true}' ELSE '{"value":' || n || '}' END::json,
			       'bench', '', now()
			FROM   head, generate_series(1, $1::bigint) AS n`, history, ns, keys); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE head SET position = position + $1, at = now()`, history)
		return err
	})
	if err != nil {
		return err
	}
	// So that the server does not do it while something is measured: the events of a real log came one by one.
	for _, upkeep := range []string{"VACUUM ANALYZE events", "CHECKPOINT"} {
		if _, err := conn.Exec(ctx, upkeep); err != nil {
			return err
		}
	}
	return nil
}

// build builds the programs into s.dir.
func (s *system) build(ctx context.Context) error {
	const module = "github.com/holdfast-config/holdfast"
	source, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return fmt.Errorf("find the programs' source: %w", err)
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", s.dir+"/", module+"/cmd/api", module+"/cmd/projector")
	build.Dir = strings.TrimSpace(string(source)) // a module of its own, with its own go.sum
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w: %s", err, out)
	}
	return nil
}

// startAPI starts the api, unless it runs.
func (s *system) startAPI(ctx context.Context) (err error) {
	if s.api != "" {
		return nil
	}
	if err := s.build(ctx); err != nil {
		return err
	}
	s.api, err = s.start(ctx, "api", func(answer []byte) bool { return true })
	return err
}

// startBoth starts an api that projects too, unless it runs. It waits until that leads, so no other may run.
func (s *system) startBoth(ctx context.Context) (err error) {
	if s.both != "" {
		return nil
	}
	if err := s.build(ctx); err != nil {
		return err
	}
	rdb, err := redisurl.Parse(s.redis.URL)
	if err != nil {
		return err
	}
	client := redis.NewUniversalClient(rdb)
	defer client.Close()
	s.both, err = s.start(ctx, "api", func([]byte) bool {
		beat, err := view.LoadHeartbeat(ctx, client)
		return err == nil && beat.Position > 0 && beat.Position == beat.Head
	}, "--projector")
	return err
}

// startProjector starts the projector, unless it runs, and waits until it has projected all that there is.
func (s *system) startProjector(ctx context.Context) (err error) {
	if s.projector != "" {
		return nil
	}
	s.projector, err = s.start(ctx, "projector", func(answer []byte) bool {
		var at struct{ Position, Head int64 }
		return json.Unmarshal(answer, &at) == nil && at.Position > 0 && at.Position == at.Head
	})
	return err
}

// start runs a program and waits until it says that it is ready.
func (s *system) start(ctx context.Context, name string, ready func(answer []byte) bool, args ...string) (string, error) {
	addr, _, err := twoPorts()
	if err != nil {
		return "", err
	}
	logs, err := os.Create(filepath.Join(s.dir, name+".log"))
	if err != nil {
		return "", err
	}
	defer logs.Close()
	args = append(args, "--listen", addr, "--database", s.database, "--redis", s.redis.URL)
	cmd := exec.CommandContext(ctx, filepath.Join(s.dir, name), args...)
	cmd.Stdout, cmd.Stderr = logs, logs
	if err := cmd.Start(); err != nil {
		return "", err
	}
	s.procs = append(s.procs, cmd)
	return "http://" + addr, waitFor(ctx, name, func() bool {
		resp, err := http.Get("http://" + addr + "/readyz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		return err == nil && resp.StatusCode == http.StatusOK && ready(answer)
	})
}

// stop stops api and projector.
func (s *system) stop() {
	for _, p := range s.procs {
		_ = p.Process.Signal(os.Interrupt)
		_ = p.Wait()
	}
	s.procs, s.api, s.projector, s.both = nil, "", "", ""
}

func (s *system) Close() error {
	s.stop()
	var err error
	if s.redis != nil {
		err = s.redis.Close()
	}
	return errors.Join(err, s.postgres.Close())
}

// post appends a change set through the log, in process.
func post(ctx context.Context, log *eventlog.Log, cs commands.ChangeSet) (eventlog.Appended, error) {
	return log.Append(ctx, eventlog.Request{Namespace: cs.Namespace, Actor: cs.Actor, Reason: cs.Reason},
		func(t config.Tree) ([]events.Event, error) { return commands.Decide(t, cs) })
}

// defineClients makes the bench namespace with one bounded int key for each client.
func defineClients(ctx context.Context, log *eventlog.Log, clients int) error {
	cs := commands.ChangeSet{Namespace: benchNS, Actor: "bench", Commands: []commands.Command{commands.Create{}}}
	for c := range clients {
		cs.Commands = append(cs.Commands, commands.Define{Key: clientKey(c), Definition: events.Definition{
			Kind: events.Int, Default: "0", Min: "0", Max: "9223372036854775807",
		}})
	}
	_, err := post(ctx, log, cs)
	return err
}

func clientKey(c int) events.Key { return events.Key(fmt.Sprintf("client.%d.setting", c)) }
