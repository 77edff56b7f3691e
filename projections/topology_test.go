package projections

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// cluster starts three masters that share the slots, and returns a client on them and one on each.
func cluster(t *testing.T) (*redis.ClusterClient, []*redis.Client) {
	t.Helper()
	ctx := context.Background()
	const nodes, slots = 3, 16384
	masters, addrs := make([]*redis.Client, nodes), make([]string, nodes)
	for i := range masters {
		// The default bus port, ten thousand above, may not exist.
		server := testenv.RedisServer(t, "--cluster-enabled", "yes", "--cluster-port", freePort(t), "--cluster-node-timeout", "2000")
		masters[i] = client(t, server.URL)
		addrs[i] = masters[i].Options().Addr
		from, to := i*slots/nodes, (i+1)*slots/nodes-1
		if err := masters[i].ClusterAddSlotsRange(ctx, from, to).Err(); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			meet(t, masters[0], masters[i])
		}
	}
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs})
	t.Cleanup(func() { rdb.Close() })
	testenv.Eventually(t, "the cluster is whole", func() bool {
		for _, master := range masters {
			info := master.ClusterInfo(ctx).Val()
			if !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", nodes)) {
				return false
			}
		}
		return true
	})
	return rdb, masters
}

func meet(t *testing.T, first, other *redis.Client) {
	t.Helper()
	host, port, err := net.SplitHostPort(other.Options().Addr)
	if err != nil {
		t.Fatal(err)
	}
	bus := other.ConfigGet(context.Background(), "cluster-port").Val()["cluster-port"]
	if err := first.Do(context.Background(), "CLUSTER", "MEET", host, port, bus).Err(); err != nil {
		t.Fatal(err)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// Namespaces are spread over the shards of a cluster; one shard that loses all heals while the others keep the heartbeat.
func TestCluster(t *testing.T) {
	leakFree(t)
	ctx := context.Background()
	log := testenv.Log(t)
	rdb, masters := cluster(t)
	running(t, log, rdb, quick)
	for i := range 12 {
		post(t, log, events.Namespace(fmt.Sprintf("root-%d", i)), created(), defined("n", "1"), set("x", "1"))
		post(t, log, events.Namespace(fmt.Sprintf("root-%d.below", i)), created(), set("y", "1"))
	}
	for i := range 12 {
		post(t, log, events.Namespace(fmt.Sprintf("root-%d", i)), set("x", "2"))
	}
	equalToLog(t, log, rdb)
	for i, master := range masters {
		if n := master.DBSize(ctx).Val(); n == 0 {
			t.Errorf("shard %d holds nothing: the test proves nothing", i)
		}
		if err := master.FlushAll(ctx).Err(); err != nil {
			t.Fatal(err)
		}
		equalToLog(t, log, rdb)
	}
	for _, master := range masters {
		if err := master.ScriptFlush(ctx).Err(); err != nil {
			t.Fatal(err)
		}
	}
	post(t, log, "root-1", set("x", "3"))
	post(t, log, "root-2", set("x", "3"))
	equalToLog(t, log, rdb)
}

// A view moves to another shard while it is written to.
func TestClusterMovesASlot(t *testing.T) {
	ctx := context.Background()
	log := testenv.Log(t)
	rdb, masters := cluster(t)
	running(t, log, rdb, quick)
	plant(t, log)
	equalToLog(t, log, rdb)

	slot := rdb.ClusterKeySlot(ctx, view.HeadKey("z")).Val()
	var from, to *redis.Client
	ids := map[*redis.Client]string{}
	for _, master := range masters {
		ids[master] = master.Do(ctx, "CLUSTER", "MYID").Val().(string)
		if master.Exists(ctx, view.HeadKey("z")).Err() == nil {
			from = master
		} else {
			to = master
		}
	}
	done := make(chan error, 1)
	go func() { done <- moveSlot(ctx, slot, from, to, ids, masters) }()
	for i := range 50 {
		post(t, log, "z", set("x", events.Value(fmt.Sprint(i))))
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	post(t, log, "z", set("x", "100"))
	equalToLog(t, log, rdb)
	if n := to.Exists(ctx, view.HeadKey("z")).Val(); n != 1 {
		t.Error("the view has not moved")
	}
}

func moveSlot(ctx context.Context, slot int64, from, to *redis.Client, ids map[*redis.Client]string, masters []*redis.Client) error {
	if err := to.Do(ctx, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[from]).Err(); err != nil {
		return err
	}
	if err := from.Do(ctx, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[to]).Err(); err != nil {
		return err
	}
	host, port, _ := strings.Cut(to.Options().Addr, ":")
	for {
		keys, err := from.ClusterGetKeysInSlot(ctx, int(slot), 100).Result()
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			break
		}
		args := []any{"MIGRATE", host, port, "", 0, 5000, "REPLACE", "KEYS"}
		for _, key := range keys {
			args = append(args, key)
		}
		if err := from.Do(ctx, args...).Err(); err != nil {
			return err
		}
	}
	for _, master := range append([]*redis.Client{to, from}, masters...) {
		if err := master.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", ids[to]).Err(); err != nil {
			return err
		}
	}
	return nil
}

// A primary that dies is followed by its replica, which a sentinel promotes: with what had reached it.
func TestSentinel(t *testing.T) {
	ctx := context.Background()
	log := testenv.Log(t)
	primary, replica := testenv.RedisServer(t), testenv.RedisServer(t)
	first, second := client(t, primary.URL), client(t, replica.URL)
	host, port, _ := strings.Cut(first.Options().Addr, ":")
	if err := second.ReplicaOf(ctx, host, port).Err(); err != nil {
		t.Fatal(err)
	}
	replicates := func() bool {
		return strings.Contains(second.Info(ctx, "replication").Val(), "master_link_status:up")
	}
	testenv.Eventually(t, "the replica follows", replicates)
	rdb := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: "main", SentinelAddrs: []string{sentinel(t, host, port)},
		ReadTimeout: time.Second, DialTimeout: time.Second, MaxRetries: -1, DialerRetries: 1,
	})
	t.Cleanup(func() { rdb.Close() })
	running(t, log, rdb, quick)
	plant(t, log)
	equalToLog(t, log, rdb)
	primary.Kill()
	for i := range 20 {
		change(t, log, i)
	}
	testenv.Eventually(t, "the replica leads", func() bool {
		return strings.Contains(second.Info(ctx, "replication").Val(), "role:master")
	})
	equalToLog(t, log, rdb)
	equalToLog(t, log, second)
}

// sentinel runs a sentinel that watches the primary as "main" and returns its address, once it knows the replica.
func sentinel(t *testing.T, host, port string) string {
	t.Helper()
	own, conf := freePort(t), filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf(`
bind 127.0.0.1
port %s
sentinel monitor main %s %s 1
sentinel down-after-milliseconds main 500
sentinel failover-timeout main 3000
`, own, host, port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	process := exec.Command("redis-server", conf, "--sentinel")
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		process.Process.Kill()
		process.Wait()
	})
	addr := net.JoinHostPort("127.0.0.1", own)
	testenv.Eventually(t, "the sentinel answers", func() bool {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	watch := redis.NewSentinelClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { watch.Close() })
	testenv.Eventually(t, "the sentinel knows the replica", func() bool {
		found, err := watch.Replicas(context.Background(), "main").Result()
		return err == nil && len(found) == 1
	})
	return addr
}
