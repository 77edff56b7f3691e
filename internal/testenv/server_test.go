package testenv

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestRedis(t *testing.T) {
	urlOne, one := Redis(t)
	urlTwo, two := Redis(t)
	if urlOne == urlTwo {
		t.Fatalf("two tests have the same %s", urlOne)
	}
	if err := one.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if n := two.Exists(t.Context(), "k").Val(); n != 0 {
		t.Error("a key of one shows in the other")
	}
	if got := client(t, urlOne).Get(t.Context(), "k").Val(); got != "v" {
		t.Errorf("the URL leads elsewhere than the client: %q", got)
	}
}

func TestRedisServer(t *testing.T) {
	s := RedisServer(t)
	address := s.URL
	c := client(t, s.URL)
	if err := c.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	if c.WithTimeout(100*time.Millisecond).Ping(t.Context()).Err() == nil {
		t.Error("a stopped server answers")
	}
	s.Continue()
	if got := client(t, s.URL).Get(t.Context(), "k").Val(); got != "v" {
		t.Errorf("after Continue: %q", got)
	}
	s.Stop()
	s.Kill() // of a stopped one
	if client(t, s.URL).Ping(t.Context()).Err() == nil {
		t.Error("a killed server answers")
	}
	s.Start()
	if s.URL != address {
		t.Errorf("it started at %s, was at %s", s.URL, address)
	}
	if n := client(t, s.URL).Exists(t.Context(), "k").Val(); n != 0 {
		t.Error("it is not empty, and had not saved")
	}
	s.Stop() // the end of the test has to cope
}

func TestRedisServerThatSaves(t *testing.T) {
	s := RedisServer(t, "--appendonly", "yes", "--appendfsync", "always")
	if err := client(t, s.URL).Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	s.Start()
	if got := client(t, s.URL).Get(t.Context(), "k").Val(); got != "v" {
		t.Errorf("got %q from a server that saves", got)
	}
}

func TestPostgresServer(t *testing.T) {
	s, owner, app := PostgresServer(t)
	if err := query(t, app, "UPDATE head SET position = 7"); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	s.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if conn.Ping(ctx) == nil {
		t.Error("a connection of a stopped server answers")
	}
	s.Continue()
	s.Kill()
	if _, err := pgx.Connect(t.Context(), app); err == nil {
		t.Error("a killed server answers")
	}
	s.Start()
	if got := ask(t, owner, "SELECT position::text FROM head"); got != "7" {
		t.Errorf("position %s after a crash, want what was committed, 7", got)
	}
}
