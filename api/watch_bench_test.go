package api_test

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// BenchmarkWatchers connects 5,000 watchers over loopback and posts changes: what each watcher costs the process, and how
// long after the beginning of a post it is seen, by one watcher while the others watch another tree, and by one of all.
func BenchmarkWatchers(b *testing.B) {
	for _, ns := range []string{"elsewhere", "shop"} {
		b.Run(ns, func(b *testing.B) { benchmarkWatchers(b, ns) })
	}
}

func benchmarkWatchers(b *testing.B, ns string) {
	const watchers = 5_000
	c := serve(b, nil)
	c.post("shop", `{"do":"create","open":true}`)
	c.post("elsewhere", `{"do":"create"}`)
	seen := c.watch("shop", "").until(c.head())
	goroutines, bytes := runtime.NumGoroutine(), inUse()
	for range watchers {
		idle(b, strings.TrimPrefix(c.url, "http://"), ns)
	}
	goroutines, bytes = runtime.NumGoroutine()-goroutines, inUse()-bytes
	var times []time.Duration
	for i := 0; b.Loop(); i++ {
		start := time.Now()
		want := c.post("shop", fmt.Sprintf(`{"do":"set","key":"k","value":%d}`, i)).Position
		for seen.view.Position < want {
			if _, err := seen.next(); err != nil {
				b.Fatal(err)
			}
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	b.ReportMetric(float64(goroutines)/watchers, "goroutines/watcher")
	b.ReportMetric(float64(bytes)/watchers, "B/watcher")
	b.ReportMetric(float64(times[len(times)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "p99-µs")
}

// idle connects a watcher that reads no further than its first bookmark; the rest stays in the buffers of the kernel.
func idle(b *testing.B, address, ns string) {
	b.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, "GET /v1/namespaces/"+ns+"/watch HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		b.Fatal(err)
	}
	var got []byte
	for buf := make([]byte, 1<<10); !strings.Contains(string(got), "event: bookmark"); {
		n, err := conn.Read(buf)
		if err != nil {
			b.Fatalf("%v after %s", err, got)
		}
		got = append(got, buf[:n]...)
	}
}

// inUse is what heap and stacks take.
func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}
