package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
)

// measureWatchers: what thousands of idle watchers cost an api process, and how fast a post is seen with all of them
// connected.
func (b *bench) measureWatchers(ctx context.Context) error {
	const many = 5_000
	b.system.stop()
	if err := errors.Join(b.define(ctx), b.system.startBoth(ctx)); err != nil {
		return err
	}
	alone, err := b.seenP99(ctx)
	if err != nil {
		return err
	}
	before, err := b.system.residentMemory()
	if err != nil {
		return err
	}
	b.progress("%d idle watchers", many)
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	if err := b.connectWatchers(ctx, &watching, many); err != nil {
		return err
	}
	after, err := b.system.residentMemory()
	if err != nil {
		return err
	}
	b.report.add(figure{name: fmt.Sprintf("%d idle watchers on one api process", many), value: fmt.Sprintf("%.1f KiB resident a watcher", float64(after-before)/many/1024)})
	watched, err := b.seenP99(ctx)
	if err != nil {
		return err
	}
	b.report.add(figure{name: fmt.Sprintf("posted → seen, 100/s, p99, with %d idle watchers", many), value: millis(watched), peer: "without " + millis(alone), ratio: watched / alone})
	return nil
}

func (b *bench) seenP99(ctx context.Context) (float64, error) {
	var all []float64
	for range b.rounds {
		l, err := b.seen(ctx, b.holdfastSide(b.system.both), 100)
		if err != nil {
			return 0, err
		}
		all = append(all, float64(percentile(l, 0.99)))
	}
	return median(all), nil
}

// connectWatchers returns when every watcher has had its first event. They watch a namespace in which nothing happens.
func (b *bench) connectWatchers(ctx context.Context, watching *sync.WaitGroup, many int) error {
	if err := postOnce(ctx, b.system.both+"/v1/namespaces/idle/commands", `{"commands":[{"do":"create"}]}`); err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	connected := make(chan error, many)
	limit := make(chan struct{}, 64)
	for range many {
		limit <- struct{}{}
		watching.Go(func() {
			err := watchIdle(ctx, client, b.system.both+"/v1/namespaces/idle/watch", connected, limit)
			if err != nil && ctx.Err() == nil {
				fmt.Fprintln(os.Stderr, "bench: a watcher was cut off:", err)
			}
		})
	}
	for range many {
		if err := <-connected; err != nil {
			return err
		}
	}
	return nil
}

func watchIdle(ctx context.Context, client *http.Client, url string, connected chan<- error, limit <-chan struct{}) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err == nil && resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		err = errors.New(resp.Status)
	}
	if err != nil {
		<-limit
		connected <- err
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewReaderSize(resp.Body, 1024)
	first := true
	for {
		_, err := lines.ReadString('\n')
		if first {
			first = false
			<-limit
			connected <- err
		}
		if err != nil {
			return err
		}
	}
}

func postOnce(ctx context.Context, url, body string) error {
	c, err := dial(ctx, url)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.post(body)
}

// residentMemory is what the api process has of the machine's memory, in bytes.
func (s *system) residentMemory() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.procs[len(s.procs)-1].Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("the system does not tell a process's resident memory")
}
