package devservers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// Redis is a private Redis, Valkey or miniredis. It listens on the loopback and keeps nothing on disk unless told to:
// what Holdfast has in Redis is a view.
type Redis struct {
	URL    string // redis://…
	Server string // "redis-server 7.0.15", "valkey-server 8.0.1", "miniredis"
	PID    int    // of the server process; 0: in-process

	child   *child
	mini    *miniredis.Miniredis
	scratch string // directory to remove when it is down; empty: none
}

// RedisConfig says how to run a private Redis.
type RedisConfig struct {
	Dir       string       // log and whatever it saves; made if missing. Empty: a temporary one
	Port      int          // 0: a free one
	InProcess bool         // miniredis even if a server is installed
	Args      []string     // further arguments, e.g. "--save", ""
	Logger    *slog.Logger // default: slog.Default
}

// StartRedis runs redis-server or valkey-server if installed, else miniredis.
func StartRedis(ctx context.Context, cfg RedisConfig) (*Redis, error) {
	r, err := startRedis(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("start redis: %w", err)
	}
	orDefault(cfg.Logger).Info("redis runs", "server", r.Server, "url", r.URL, "pid", r.PID)
	return r, nil
}

func startRedis(ctx context.Context, cfg RedisConfig) (*Redis, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	program := redisProgram()
	if cfg.InProcess || program == "" {
		return startMiniredis(cfg.Port)
	}
	if cfg.Port != 0 {
		return runRedis(ctx, cfg, program)
	}
	for attempt := 1; ; attempt++ {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		cfg.Port = port
		r, err := runRedis(ctx, cfg, program)
		if !errors.Is(err, errEnded) || attempt == 5 { // another may have taken the port in between
			return r, err
		}
	}
}

// redisProgram returns the path of the installed server, "" if there is none.
func redisProgram() string {
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

func startMiniredis(port int) (*Redis, error) {
	mini := miniredis.NewMiniRedis()
	if err := mini.StartAddr("127.0.0.1:" + strconv.Itoa(port)); err != nil {
		return nil, err
	}
	return &Redis{URL: "redis://" + mini.Addr(), Server: "miniredis", mini: mini}, nil
}

func runRedis(ctx context.Context, cfg RedisConfig, program string) (*Redis, error) {
	r := &Redis{URL: "redis://127.0.0.1:" + strconv.Itoa(cfg.Port)}
	dir, err := cfg.Dir, error(nil)
	if dir == "" {
		if dir, err = os.MkdirTemp("", "holdfast-redis-"); err != nil {
			return nil, err
		}
		r.scratch = dir
	}
	if dir, err = (*account)(nil).own(dir); err != nil {
		return nil, err
	}
	args := []string{program, "--bind", "127.0.0.1", "--port", strconv.Itoa(cfg.Port), "--dir", dir,
		"--maxmemory-policy", "noeviction", "--save", "", "--appendonly", "no"}
	r.child, err = start(ctx, command{
		args:    append(args, cfg.Args...),
		dir:     dir,
		log:     "redis.log",
		scratch: r.scratch,
		ending:  redisEnding,
	})
	if err == nil {
		r.PID = r.child.pid
		err = r.ready(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// errEnded: the server ended while it was starting.
var errEnded = errors.New("the server has ended")

// ready waits until the server, and not another on the same port, answers.
func (r *Redis) ready(ctx context.Context) error {
	options, err := redis.ParseURL(r.URL)
	if err != nil {
		return err
	}
	options.MaxRetries, options.DialerRetries = -1, 1
	options.DialTimeout, options.ReadTimeout = 2*time.Second, 2*time.Second
	client := redis.NewClient(options)
	defer client.Close()
	var last error
	err = poll(ctx, func() bool {
		if r.child.poll() {
			last = fmt.Errorf("%w: %w", errEnded, r.child.failure())
			return true
		}
		conn, err := net.DialTimeout("tcp", options.Addr, 2*time.Second) // the client would log that nobody listens yet
		if err != nil {
			last = err
			return false
		}
		conn.Close()
		info, err := client.InfoMap(ctx, "server").Result()
		if err == nil {
			err = client.Ping(ctx).Err() // refused while it loads what it saved
		}
		if err != nil {
			last = err
			return false
		}
		server := info["Server"]
		r.Server, last = serverName(server), nil
		return server["process_id"] == strconv.Itoa(r.PID)
	})
	if err != nil {
		return fmt.Errorf("no answer: %w", errors.Join(last, err))
	}
	return last
}

func serverName(info map[string]string) string {
	if version := info["valkey_version"]; version != "" {
		return "valkey-server " + version
	}
	return "redis-server " + info["redis_version"]
}

// Wait returns when the server has ended, with what it last wrote if that was no orderly end, or with ctx's error.
func (r *Redis) Wait(ctx context.Context) error {
	if r.child == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	return r.child.wait(ctx)
}

// Close stops the server and waits until it is down.
func (r *Redis) Close() error {
	var err error
	if r.mini != nil {
		r.mini.Close()
	}
	if r.child != nil {
		err = r.child.stop()
	}
	if r.scratch != "" {
		err = errors.Join(err, os.RemoveAll(r.scratch))
	}
	return err
}
