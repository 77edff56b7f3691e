package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// etcd is a private etcd server with its default settings.
type etcd struct {
	endpoint string // http://127.0.0.1:port
	cmd      *exec.Cmd
}

func startEtcd(ctx context.Context, dir string) (*etcd, error) {
	bin, err := exec.LookPath("etcd")
	if err != nil {
		return nil, fmt.Errorf("the peer etcd is not installed (Debian: apt-get install etcd-server): %w", err)
	}
	client, peer, err := twoPorts()
	if err != nil {
		return nil, err
	}
	e := &etcd{endpoint: "http://" + client}
	logs, err := os.Create(filepath.Join(dir, "etcd.log"))
	if err != nil {
		return nil, err
	}
	defer logs.Close()
	e.cmd = exec.CommandContext(ctx, bin, "--data-dir", filepath.Join(dir, "etcd"), "--name", "bench",
		"--listen-client-urls", e.endpoint, "--advertise-client-urls", e.endpoint,
		"--listen-peer-urls", "http://"+peer, "--initial-advertise-peer-urls", "http://"+peer,
		"--initial-cluster", "bench=http://"+peer)
	e.cmd.Stdout, e.cmd.Stderr = logs, logs
	if err := e.cmd.Start(); err != nil {
		return nil, err
	}
	return e, waitFor(ctx, "etcd", func() bool {
		resp, err := http.Get(e.endpoint + "/health")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

func (e *etcd) Close() {
	_ = e.cmd.Process.Signal(os.Interrupt)
	_ = e.cmd.Wait()
}

func (e *etcd) client() (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: []string{e.endpoint}, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
}

// etcdConnections is how many connections the clients share, unless each has its own: with fewer calls to the kernel, that
// is the faster way.
const etcdConnections = 8

// putLoop measures puts a second by its own Go client, over so many connections.
func (e *etcd) putLoop(ctx context.Context, clients, connections int, d time.Duration) (float64, error) {
	conns := make([]*clientv3.Client, min(clients, connections))
	for i := range conns {
		c, err := e.client()
		if err != nil {
			return 0, err
		}
		defer c.Close()
		conns[i] = c
	}
	count := make([]int, clients)
	return closedLoop(ctx, clients, d, func(ctx context.Context, c int) error {
		count[c]++
		_, err := conns[c%len(conns)].Put(ctx, fmt.Sprintf("bench/key%d", c), fmt.Sprint(count[c]))
		return err
	})
}

// gatewayLoop measures puts a second through etcd's JSON gateway.
func (e *etcd) gatewayLoop(ctx context.Context, clients int, d time.Duration) (float64, error) {
	count := make([]int, clients)
	return postLoop(ctx, e.endpoint+"/v3/kv/put", clients, d, func(c int) string {
		count[c]++
		return fmt.Sprintf(`{"key":%q,"value":%q}`, b64(fmt.Sprintf("bench/key%d", c)), b64(fmt.Sprint(count[c])))
	})
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func twoPorts() (string, string, error) {
	a, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer a.Close()
	b, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer b.Close()
	return a.Addr().String(), b.Addr().String(), nil
}

func waitFor(ctx context.Context, what string, ready func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for !ready() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s did not come up: %w", what, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}
