package devservers

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

func TestRedis(t *testing.T) {
	cfg := RedisConfig{Dir: filepath.Join(tempDir(t), "redis"), Logger: quiet}
	r := mustRedis(t, cfg)
	c := redisClient(t, r.URL)
	for name, want := range map[string]string{"maxmemory-policy": "noeviction", "save": "", "appendonly": "no", "bind": "127.0.0.1"} {
		if got := c.ConfigGet(t.Context(), name).Val()[name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if !strings.HasPrefix(r.Server, "redis-server ") && !strings.HasPrefix(r.Server, "valkey-server ") || r.PID == 0 {
		t.Errorf("server %q, process %d", r.Server, r.PID)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if !gone(r.PID) {
		t.Error("Close returned before the server was down")
	}

	cfg.Port = portOf(t, r.URL)
	cfg.Args = []string{"--maxmemory-policy", "allkeys-lru"}
	again := mustRedis(t, cfg)
	if again.URL != r.URL {
		t.Errorf("started on %s, want the port of the first, %s", again.URL, r.URL)
	}
	if got := redisClient(t, again.URL).ConfigGet(t.Context(), "maxmemory-policy").Val()["maxmemory-policy"]; got != "allkeys-lru" {
		t.Errorf("Args do not override: %s", got)
	}
}

func TestRedisOnATakenPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = StartRedis(t.Context(), RedisConfig{Port: l.Addr().(*net.TCPAddr).Port, Logger: quiet})
	wantError(t, err, "start redis: ", "Address already in use")
}

func TestRedisInProcess(t *testing.T) {
	t.Run("on request", func(t *testing.T) {
		works(t, mustRedis(t, RedisConfig{InProcess: true, Logger: quiet}), "miniredis")
	})
	t.Run("where none is installed", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		works(t, mustRedis(t, RedisConfig{Logger: quiet}), "miniredis")
	})
}

func TestValkey(t *testing.T) {
	dir := t.TempDir()
	server := filepath.Join(dir, "valkey-server")
	if err := os.WriteFile(server, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	if got := redisProgram(); got != server {
		t.Errorf("found %q, want %q", got, server)
	}
	info := map[string]string{"redis_version": "7.2.4", "valkey_version": "8.0.1"} // it says what it is compatible with
	if got := serverName(info); got != "valkey-server 8.0.1" {
		t.Errorf("valkey is taken for %s", got)
	}
}

func works(t *testing.T, r *Redis, server string) {
	t.Helper()
	if r.Server != server {
		t.Errorf("got %s, want %s", r.Server, server)
	}
	c := redisClient(t, r.URL)
	if err := c.XAdd(t.Context(), &redis.XAddArgs{Stream: "s", ID: "7-0", Values: []string{"a", "b"}}).Err(); err != nil {
		t.Error(err)
	}
}

func mustRedis(t *testing.T, cfg RedisConfig) *Redis {
	t.Helper()
	r, err := StartRedis(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func portOf(t *testing.T, url string) int {
	t.Helper()
	port, err := strconv.Atoi(url[strings.LastIndex(url, ":")+1:])
	if err != nil {
		t.Fatal(err)
	}
	return port
}
