package redisurl_test

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/internal/redisurl"
	"github.com/holdfast-config/holdfast/internal/testenv"
)

func TestParse(t *testing.T) {
	tests := map[string]redis.UniversalOptions{
		"redis://localhost": {Addrs: []string{"localhost:6379"}},
		"redis://me:s%40cret@db.example:7000/3?read_timeout=3s&pool_size=5&client_name=x": {
			Addrs: []string{"db.example:7000"}, Username: "me", Password: "s@cret", DB: 3,
			ReadTimeout: 3 * time.Second, PoolSize: 5, ClientName: "x"},
		"redis://[::1]:6380": {Addrs: []string{"[::1]:6380"}},
		"rediss://db.example": {Addrs: []string{"db.example:6379"},
			TLSConfig: &tls.Config{ServerName: "db.example", MinVersion: tls.VersionTLS12}},
		"unix:///run/redis.sock?db=2": {Addrs: []string{"/run/redis.sock"}, DB: 2},
		"redis://:pw@a:1?addr=b:2&addr=c:3&dial_timeout=1s": {
			Addrs: []string{"a:1", "b:2", "c:3"}, Password: "pw", IsClusterMode: true, DialTimeout: time.Second},
		"redis://a:1?addr=a:1": {Addrs: []string{"a:1", "a:1"}, IsClusterMode: true},
		"rediss://a:1?addr=b:2&skip_verify=true": {Addrs: []string{"a:1", "b:2"}, IsClusterMode: true,
			TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}},
		"redis://:pw@s1:26379/4?master_name=mymaster&addr=s2:26379&sentinel_password=other": {
			Addrs: []string{"s1:26379", "s2:26379"}, Password: "pw", DB: 4, MasterName: "mymaster", SentinelPassword: "other"},
	}
	for in, want := range tests {
		want.ContextTimeoutEnabled = true
		got, err := redisurl.Parse(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if diff := cmp.Diff(&want, got, cmpopts.IgnoreUnexported(tls.Config{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", in, diff)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	tests := map[string]string{ // the password is always "se cret" or parts of it, with something that breaks the URL
		"":                                          "begin with redis://",
		"localhost:6379":                            "begin with redis://",
		"http://:secret@host":                       "begin with redis://",
		"redis://:se/cret@host:6379":                "percent-encoded",
		"redis://:12/secret@host:6379":              "percent-encoded",
		"redis://:12?secret@host:6379":              "percent-encoded",
		"redis://:12#secret@host:6379":              "percent-encoded",
		"redis://:se%zzcret@host:6379":              "percent-encoded",
		"redis:me:secret@host":                      "percent-encoded",
		"redis://:secret@:6379":                     "host is missing",
		"redis://:secret@host:6379/x":               `invalid database number: "x"`,
		"redis://:secret@host:6379?no_such=1":       "unexpected option: no_such",
		"redis://:secret@host:6379?read_timeout=1y": "read_timeout",
		"redis://:secret@a:1?addr=b":                "addr=b is not host:port",
		"redis://:secret@a:1/2?addr=b:2":            "no database but 0",
		"unix://run/redis.sock":                     "three slashes",
		"unix:///redis.sock?master_name=m":          "one socket",
		"redis://a:1?sentinel_password=secret":      "need master_name",
	}
	for in, want := range tests {
		_, err := redisurl.Parse(in)
		if err == nil {
			t.Errorf("%s is accepted", in)
			continue
		}
		if !strings.HasPrefix(err.Error(), "redis URL: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %q, want %q in it", in, err, want)
		}
		if strings.Contains(err.Error(), "cret") {
			t.Errorf("%s: the error repeats the password: %q", in, err)
		}
	}
}

func TestReachOverSocket(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "holdfast-redisurl-") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "redis.sock")
	server := testenv.RedisServer(t, "--unixsocket", socket)

	if err := client(t, server.URL+"/3").Set(t.Context(), "greeting", "hello", 0).Err(); err != nil {
		t.Fatal(err)
	}
	got, err := client(t, "unix://"+socket+"?db=3").Get(t.Context(), "greeting").Result()
	if err != nil || got != "hello" {
		t.Errorf("got %q, %v; want what was set over TCP", got, err)
	}
}

func TestReachCluster(t *testing.T) {
	server := testenv.RedisServer(t, "--cluster-enabled", "yes")
	if err := client(t, server.URL).ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	address := strings.TrimPrefix(server.URL, "redis://")
	cluster, ok := client(t, server.URL+"?addr="+address).(*redis.ClusterClient)
	if !ok {
		t.Fatal("addr= does not make a client of a cluster")
	}
	testenv.Eventually(t, "the cluster takes writes", func() bool {
		return cluster.Set(t.Context(), "greeting", "hello", 0).Err() == nil
	})
}

func client(t *testing.T, url string) redis.UniversalClient {
	t.Helper()
	options, err := redisurl.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewUniversalClient(options)
	t.Cleanup(func() { c.Close() })
	return c
}
