package testenv

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// impatient returns a client that neither retries nor waits for long.
func impatient(t *testing.T, url string) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	options.MaxRetries, options.DialerRetries, options.Protocol = -1, 1, 2
	options.ReadTimeout, options.DialTimeout = 300*time.Millisecond, 300*time.Millisecond
	c := redis.NewClient(options)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestProxy(t *testing.T) {
	server, direct := Redis(t)
	network := Proxy(t, server)
	ctx := t.Context()
	through := impatient(t, network.URL)
	works := func() {
		t.Helper()
		if err := through.Incr(ctx, "n").Err(); err != nil {
			t.Fatal(err)
		}
		direct.Set(ctx, "n", 0, 0)
	}
	works()

	network.Cut()
	if through.Incr(ctx, "n").Err() == nil {
		t.Error("a cut network passes")
	}
	if n := direct.Get(ctx, "n").Val(); n != "0" {
		t.Errorf("a request came through a cut network: %s", n)
	}
	network.Restore()
	works()

	network.Hang()
	start := time.Now()
	if through.Incr(ctx, "n").Err() == nil {
		t.Error("a hanging network passes")
	}
	if took := time.Since(start); took < 250*time.Millisecond {
		t.Errorf("it does not hang, but fails after %s", took)
	}
	if n := direct.Get(ctx, "n").Val(); n != "0" {
		t.Errorf("a request came through a hanging network: %s", n)
	}
	network.Cut() // forgets the request that hangs
	network.Restore()
	works()

	network.LoseAnswers()
	if through.Incr(ctx, "n").Err() == nil {
		t.Error("an answer came through")
	}
	if n := direct.Get(ctx, "n").Val(); n != "1" {
		t.Errorf("the request did not come through: %s", n)
	}
	network.Cut()
	network.Restore()
	works()

	network.Slow(100 * time.Millisecond)
	start = time.Now()
	works()
	if took := time.Since(start); took < 100*time.Millisecond {
		t.Errorf("slow, and answered after %s", took)
	}
}

// TestProxyLosesTheAnswerToCommit: what no other fault tells apart: it is stored, and nobody is told.
func TestProxyLosesTheAnswerToCommit(t *testing.T) {
	_, app := Database(t)
	network := Proxy(t, app)
	conn, err := pgx.Connect(t.Context(), network.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "UPDATE head SET position = 7"); err != nil {
		t.Fatal(err)
	}
	network.LoseAnswers()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if tx.Commit(ctx) == nil {
		t.Error("the answer came through")
	}
	Eventually(t, "the commit came through", func() bool { return ask(t, app, "SELECT position::text FROM head") == "7" })
}
