package api_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// BenchmarkPost posts change sets of one set each, over HTTP, from 64 clients; the clients share the processors.
func BenchmarkPost(b *testing.B) {
	c := serve(b, nil)
	c.http.Transport.(*http.Transport).MaxIdleConnsPerHost = 64
	c.post("bench", `{"do":"create"},`+define)
	var n atomic.Int64
	b.SetParallelism(32) // × 2 processors
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			body := fmt.Sprintf(`{"reason":"bench","commands":[{"do":"set","key":"db.max_conns","value":%d}]}`, 1+n.Add(1)%100)
			resp, err := c.http.Post(c.url+"/v1/namespaces/bench/commands", "application/json", strings.NewReader(body))
			if err != nil {
				b.Error(err)
				return
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				b.Errorf("got %d", resp.StatusCode)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "posts/s")
}

// BenchmarkValue reads one value from the log's tree in memory.
func BenchmarkValue(b *testing.B) {
	c := serve(b, nil)
	c.post("bench", `{"do":"create"},`+define)
	for b.Loop() {
		if a := c.do("GET", "/v1/namespaces/bench/values/db.max_conns", ""); a.status != http.StatusOK {
			b.Fatal(a.status)
		}
	}
}
