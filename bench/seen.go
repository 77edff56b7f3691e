package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/holdfast-config/holdfast/readmodel"
)

// Latencies are what a watching process saw: sorted, in nanoseconds from the start of the post to its being seen.
type latencies []int64

// measureSeen: from the start of a post to its being seen by another process, at fixed rates. The value that is posted is
// the time of posting; all processes share the machine's clock. Holdfast runs as one program, which projects what it
// takes, and as two.
func (b *bench) measureSeen(ctx context.Context) error {
	b.system.stop() // what an earlier measurement left
	if err := errors.Join(b.define(ctx), b.system.startBoth(ctx)); err != nil {
		return err
	}
	bare, stop, err := startBare(ctx, b.system)
	if err != nil {
		return err
	}
	defer stop()
	if err := b.seenRates(ctx, "one process", b.system.both, bare); err != nil {
		return err
	}
	b.system.stop() // or it would go on leading
	if err := errors.Join(b.system.startAPI(ctx), b.system.startProjector(ctx)); err != nil {
		return err
	}
	return b.seenRates(ctx, "api and projector", b.system.api, bare)
}

func (b *bench) seenRates(ctx context.Context, how, api, bare string) error {
	const mine, etcd, floor = "holdfast", "etcd put → watch", "bare insert → XADD → XREAD"
	for _, rate := range []int{100, 2000} {
		sides := map[string]func() side{
			mine: func() side { return b.holdfastSide(api) }, etcd: b.etcdSide, floor: func() side { return b.bareSide(bare) },
		}
		p50, p99 := map[string][]float64{}, map[string][]float64{}
		for range b.rounds {
			for name, side := range sides {
				b.progress("posted → seen, %s, %d/s, %s", how, rate, name)
				l, err := b.seen(ctx, side(), rate)
				if err != nil {
					return fmt.Errorf("%s at %d/s: %w", name, rate, err)
				}
				p50[name] = append(p50[name], float64(percentile(l, 0.50)))
				p99[name] = append(p99[name], float64(percentile(l, 0.99)))
			}
		}
		report := func(p string, seen map[string][]float64, peer string, bound float64) {
			took, peers := median(seen[mine]), median(seen[peer])
			b.report.add(figure{name: fmt.Sprintf("posted → seen, %s, %d/s, %s", how, rate, p), value: millis(took),
				peer: peer + " " + millis(peers), ratio: took / peers, bound: bound, most: true})
		}
		report("p50", p50, etcd, 1)
		report("p99", p99, etcd, 1)
		report("p50", p50, floor, 0)
		report("p99", p99, floor, 0)
	}
	return nil
}

// side is one way from a post to a watcher.
type side struct {
	watch []string // arguments of this program that make it the watcher
	post  func(ctx context.Context, n int, value int64) error
	close func()
}

func (b *bench) holdfastSide(api string) side {
	return b.httpSide([]string{"watch-holdfast", b.system.redis.URL}, api+"/v1/namespaces/"+string(benchNS)+"/commands",
		func(n int, value int64) string { return setBody(string(clientKey(n%64)), value) })
}

// bareSide is the way with nothing in it: see [serveBare].
func (b *bench) bareSide(url string) side {
	return b.httpSide([]string{"watch-bare", b.system.redis.URL}, url, func(n int, value int64) string { return strconv.FormatInt(value, 10) })
}

func (b *bench) httpSide(watch []string, url string, body func(n int, value int64) string) side {
	const most = 64
	idle := make(chan *conn, most) // nil: yet to be dialled
	for range most {
		idle <- nil
	}
	return side{
		watch: watch,
		post: func(ctx context.Context, n int, value int64) (err error) {
			c := <-idle
			defer func() { idle <- c }()
			if c == nil {
				if c, err = dial(ctx, url); err != nil {
					return err
				}
			}
			return c.post(body(n, value))
		},
		close: func() {
			for range most {
				if c := <-idle; c != nil {
					c.Close()
				}
			}
		},
	}
}

func (b *bench) etcdSide() side {
	c, err := b.etcd.client()
	return side{
		watch: []string{"watch-etcd", b.etcd.endpoint},
		post: func(ctx context.Context, n int, value int64) error {
			if err != nil {
				return err
			}
			_, err := c.Put(ctx, fmt.Sprintf("bench/key%d", n%64), strconv.FormatInt(value, 10))
			return err
		},
		close: func() { c.Close() },
	}
}

// seen starts the watcher, posts at the rate, and returns what the watcher saw. Every post must be seen.
func (b *bench) seen(ctx context.Context, s side, rate int) (latencies, error) {
	defer s.close()
	ctx, cancel := context.WithTimeout(ctx, b.duration+30*time.Second)
	defer cancel()
	total := int(b.duration.Seconds() * float64(rate))
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, append(s.watch, strconv.Itoa(total))...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	defer func() { cancel(); _ = cmd.Wait() }()
	lines := bufio.NewReader(out)
	if _, err := lines.ReadString('\n'); err != nil {
		return nil, fmt.Errorf("watcher did not start: %w", err)
	}
	if err := openLoop(ctx, rate, b.duration, func(ctx context.Context, n int) error {
		return s.post(ctx, n, time.Now().UnixNano())
	}); err != nil {
		return nil, err
	}
	var l latencies
	if err := json.NewDecoder(lines).Decode(&l); err != nil {
		return nil, fmt.Errorf("watcher did not see everything: %w", err)
	}
	return l, nil
}

// watchHoldfast is the watcher process on our side: a reader, as a service has it.
func watchHoldfast(ctx context.Context, redis string, total int) error {
	r, err := readmodel.Open(ctx, string(benchNS), readmodel.Config{Redis: redis, Logger: quiet})
	if err != nil {
		return err
	}
	defer r.Close()
	seen := make(chan int64, total)
	defer r.OnChange(func(c readmodel.Changed) {
		now := time.Now().UnixNano()
		for _, k := range c.Changes {
			if k.New != nil {
				if posted, err := strconv.ParseInt(string(k.New.Value), 10, 64); err == nil {
					seen <- now - posted
				}
			}
		}
	})()
	return collect(ctx, seen, total)
}

// watchEtcd is the watcher process on etcd's side.
func watchEtcd(ctx context.Context, endpoint string, total int) error {
	c, err := (&etcd{endpoint: endpoint}).client()
	if err != nil {
		return err
	}
	defer c.Close()
	seen := make(chan int64, total)
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	watch := c.Watch(ctx, "bench/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	if _, ok := <-watch; !ok {
		return fmt.Errorf("watch was not created")
	}
	go func() {
		for resp := range watch {
			now := time.Now().UnixNano()
			for _, ev := range resp.Events {
				if posted, err := strconv.ParseInt(string(ev.Kv.Value), 10, 64); err == nil {
					seen <- now - posted
				}
			}
		}
	}()
	return collect(ctx, seen, total)
}

// collect says that it is ready, waits for total latencies and prints them.
func collect(ctx context.Context, seen <-chan int64, total int) error {
	fmt.Println("ready")
	l := make(latencies, 0, total)
	for len(l) < total {
		select {
		case d := <-seen:
			l = append(l, d)
		case <-ctx.Done():
			return fmt.Errorf("saw %d of %d: %w", len(l), total, ctx.Err())
		}
	}
	slices.Sort(l)
	return json.NewEncoder(os.Stdout).Encode(l)
}

func millis(ns float64) string { return fmt.Sprintf("%.2f ms", ns/1e6) }
