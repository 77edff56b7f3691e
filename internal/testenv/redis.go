package testenv

import (
	"context"
	"net/url"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"
)

// databases is how many database numbers the shared Redis has. Number 0 counts which of them are taken.
const databases = 4096

// Redis returns the URL of an empty Redis that no other test uses, and a client on it: a database number of a shared
// server. Where faults are injected, see [RedisServer].
func Redis(t testing.TB) (string, *redis.Client) {
	t.Helper()
	server, err := sharedRedis()
	if err != nil {
		t.Fatalf("this test needs redis: run scripts/setup.sh, or name a server by %s: %v", RedisVariable, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	counter := client(t, server)
	taken, err := counter.Incr(ctx, "holdfast:testenv:taken").Result()
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("%s is no URL", RedisVariable)
	}
	u.Path = "/" + strconv.FormatInt(1+(taken-1)%(databases-1), 10)
	c := client(t, u.String())
	if err := c.FlushDB(ctx).Err(); err != nil {
		t.Fatalf("redis needs --databases %d: %v", databases, err)
	}
	t.Cleanup(func() { // before the client is closed; the shared server should not fill up
		if err := c.FlushDB(context.Background()).Err(); err != nil {
			t.Error(err)
		}
	})
	return u.String(), c
}

// client returns a client that is closed when the test ends.
func client(t testing.TB, server string) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(server)
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(options)
	t.Cleanup(func() { c.Close() })
	return c
}
