package main

import (
	"context"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// TestWatchThroughFault: Redis dies and comes back empty while somebody watches. The watch says that it is stale and that
// it is live again, no key is shown as gone, and a change made in between is seen.
func TestWatchThroughFault(t *testing.T) {
	server := testenv.RedisServer(t)
	opts, err := redis.ParseURL(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	opts.ContextTimeoutEnabled = true
	rdb := redis.NewClient(opts)
	t.Cleanup(func() { rdb.Close() })
	s := startOn(t, server.URL, rdb, nil)
	s.ok(t, "create", "shop", "--open")
	s.ok(t, "set", "shop/a=1", "b=2")
	testenv.Eventually(t, "redis has the view that the watch is to begin with", func() bool {
		head, err := view.LoadHead(t.Context(), rdb, "shop")
		return err == nil && head.Position == 3
	})

	ctx, interrupt := context.WithCancel(t.Context())
	var out, notice syncBuffer
	ended := make(chan int, 1)
	env := map[string]string{"HOLDFAST_API": s.api, "HOLDFAST_REDIS": s.redis}
	go func() {
		ended <- run(ctx, []string{"watch", "shop"}, func(name string) string { return env[name] }, strings.NewReader(""), &out, &notice)
	}()
	says := func(text string) {
		t.Helper()
		testenv.Eventually(t, "the watch says "+text, func() bool { return strings.Contains(notice.String(), text) })
	}
	says("watching shop: 2 keys, revision 2, position 3")
	server.Kill()
	says("stale, at position 3: ")
	s.ok(t, "set", "shop/a=3")
	server.Start()
	says("live again, at position 4")
	testenv.Eventually(t, "the watch shows the change", func() bool { return strings.Contains(out.String(), "a  1 → 3  ") })
	interrupt()
	if code := <-ended; code != exitOK {
		t.Errorf("got exit code %d, want 0", code)
	}
	if got := out.String(); strings.Count(got, "\n") != 1 {
		t.Errorf("got more than the one change:\n%s", got)
	}
}
