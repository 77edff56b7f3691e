package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/internal/redisurl"
)

// bareStream is where the bare way publishes.
const bareStream = "bare"

// serveBare is the way from a post to a watcher with nothing in it: a server that inserts what is posted as a row, adds it
// to a Redis stream, and answers. No order, no decision, no view. Whatever takes Postgres for its truth and Redis for its
// stream can not be faster.
func serveBare(ctx context.Context, database, url string) error {
	options, err := redisurl.Parse(url)
	if err != nil {
		return err
	}
	rdb := redis.NewUniversalClient(options)
	defer rdb.Close()
	pool, err := pgxpool.New(ctx, database)
	if err != nil {
		return err
	}
	defer pool.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		value, err := io.ReadAll(r.Body)
		if err == nil {
			_, err = pool.Exec(r.Context(), "INSERT INTO single (key, value) VALUES ('client.setting', $1)", string(value))
		}
		if err == nil {
			err = rdb.XAdd(r.Context(), &redis.XAddArgs{Stream: bareStream, MaxLen: 10_000, Approx: true, Values: []any{"value", value}}).Err()
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Length", "0")
	})}
	go func() { <-ctx.Done(); srv.Close() }()
	fmt.Println("http://" + ln.Addr().String())
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// watchBare is the watcher process of the bare way.
func watchBare(ctx context.Context, url string, total int) error {
	options, err := redisurl.Parse(url)
	if err != nil {
		return err
	}
	rdb := redis.NewUniversalClient(options)
	defer rdb.Close()
	if err := rdb.Del(ctx, bareStream).Err(); err != nil {
		return err
	}
	seen := make(chan int64, total)
	go func() {
		for last := "0"; ctx.Err() == nil; {
			streams, err := rdb.XRead(ctx, &redis.XReadArgs{Streams: []string{bareStream, last}, Block: time.Second}).Result()
			if err != nil {
				continue
			}
			now := time.Now().UnixNano()
			for _, m := range streams[0].Messages {
				last = m.ID
				if posted, err := strconv.ParseInt(m.Values["value"].(string), 10, 64); err == nil {
					seen <- now - posted
				}
			}
		}
	}()
	return collect(ctx, seen, total)
}

// startBare starts the bare server over the servers of s, and returns its address and what stops it.
func startBare(ctx context.Context, s *system) (string, func(), error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, self, "serve-bare", s.postgres.URL, s.redis.URL)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop := func() { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait() }
	var addr string
	if _, err := fmt.Fscanln(out, &addr); err != nil {
		stop()
		return "", nil, fmt.Errorf("the bare server did not start: %w", err)
	}
	return addr, stop, nil
}
