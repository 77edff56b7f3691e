package api_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// TestWatchUnderLoad: watchers that come and go while several write miss nothing and get nothing twice, wherever in the
// load they begin. The strict order of what each gets is checked as it reads.
func TestWatchUnderLoad(t *testing.T) {
	c := serve(t, nil)
	c.history("shop")
	var load sync.WaitGroup
	for worker := range 4 {
		load.Go(func() {
			ns := []string{"shop", "shop.a", "shop.a.b", "other"}[worker]
			for i := range 60 {
				key, value := "n", fmt.Sprint(i)
				if worker == 3 {
					key = "k"
				}
				body := fmt.Sprintf(`{"commands":[{"do":"set","key":%q,"value":%s}]}`, key, value)
				if a, err := c.try("POST", "/v1/namespaces/"+ns+"/commands", body); err != nil || a.status != http.StatusOK {
					t.Errorf("%v %s", err, a.body)
				}
			}
		})
	}
	var watchers sync.WaitGroup
	ended := make(chan struct{})
	for range 6 {
		watchers.Go(func() {
			w, have := (*watch)(nil), view.Snapshot{}
			for over := false; !over; {
				select {
				case <-ended:
					over = true
				default:
				}
				query := ""
				if have.Epoch != "" {
					query = fmt.Sprintf("?after=%d", have.Position)
				}
				w = c.watch("shop.a.b", query).from(have)
				w.until(c.head()) // changes come meanwhile, from the log and from the tail
				if over {
					sameView(t, "at the end", w.view, c.fold("shop.a.b", c.head()))
				}
				w.body.Close()
				have = w.view
			}
		})
	}
	load.Wait()
	close(ended)
	watchers.Wait()
}

// TestWatchAnyHistory: whatever was posted, from any position, a watch adds up to the fold.
func TestWatchAnyHistory(t *testing.T) {
	c := serve(t, nil)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		root := fmt.Sprintf("r%d", n)
		names := []string{root, root + ".a", root + ".a.b"}
		first := c.head()
		ns := events.Namespace(rapid.SampledFrom(names).Draw(rt, "watched"))
		c.post(string(ns), `{"do":"create","open":true}`)
		for range rapid.IntRange(1, 25).Draw(rt, "change sets") {
			ns := rapid.SampledFrom(names).Draw(rt, "namespace")
			key := rapid.SampledFrom([]string{"x", "y", "z"}).Draw(rt, "key")
			command := map[string]string{
				"create": `{"do":"create","open":true}`,
				"define": fmt.Sprintf(`{"do":"define","key":%q,"definition":{"kind":"int","default":%d}}`, key, rapid.IntRange(0, 2).Draw(rt, "default")),
				"set":    fmt.Sprintf(`{"do":"set","key":%q,"value":%d}`, key, rapid.IntRange(0, 2).Draw(rt, "value")),
				"unset":  fmt.Sprintf(`{"do":"unset","key":%q}`, key),
				"remove": fmt.Sprintf(`{"do":"remove","key":%q}`, key),
			}[rapid.SampledFrom([]string{"create", "define", "set", "set", "set", "unset", "remove"}).Draw(rt, "do")]
			c.do("POST", "/v1/namespaces/"+ns+"/commands", `{"commands":[`+command+`]}`) // may be refused
		}
		head := c.head()
		from := events.Position(rapid.Int64Range(int64(first), int64(head)).Draw(rt, "after"))
		start := c.fold(ns, from)
		start.Position = from
		w := c.watch(string(ns), fmt.Sprintf("?after=%d", start.Position)).from(start).until(head)
		w.body.Close()
		sameView(rt, fmt.Sprintf("%s from %d", ns, start.Position), w.view, c.fold(ns, head))
	})
}

// TestWatchCutsSlowClients: who does not read is cut off, told so, and may resume; the others go on meanwhile.
func TestWatchCutsSlowClients(t *testing.T) {
	c := serve(t, nil)
	c.post("shop", `{"do":"create","open":true}`)
	slow, quick := c.watch("shop", "").until(c.head()), c.watch("shop", "").until(c.head())
	big := strings.Repeat("x", 250<<10)
	for i := range 60 { // more than the buffers of both ends hold, and the queue
		c.post("shop", fmt.Sprintf(`{"do":"set","key":"k%d","value":"%d%s"}`, i%3, i, big))
		for quick.view.Revision < events.Revision(i+2) {
			if _, err := quick.next(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if last := slow.end(); last != view.EventOverflow {
		t.Errorf("the last event was %s", last)
	}
	if slow.view.Position >= c.head() {
		t.Error("the slow client got everything: nothing was cut")
	}
	again := c.watch("shop", fmt.Sprintf("?after=%d", slow.view.Position)).from(slow.view).until(c.head())
	sameView(t, "resumed", again.view, c.fold("shop", c.head()))
}

// TestWatchEnds: at shutdown each watcher gets its goodbye, soon, and nothing is left running: neither after it nor after
// the last watcher of a server that goes on has left.
func TestWatchEnds(t *testing.T) {
	log := testenv.Log(t)
	before := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	ended := make(chan error, 1)
	go func() {
		ended <- api.Serve(ctx, ln, api.New(api.Config{Log: log, Logger: logger}), logger)
	}()
	transport := &http.Transport{}
	c := &client{t: t, url: "http://" + ln.Addr().String(), http: &http.Client{Transport: transport}, log: log}
	c.post("shop", `{"do":"create","open":true}`)
	idle := c.watch("shop", "").until(c.head())
	stuck := c.watch("shop", "")
	big := strings.Repeat("x", 250<<10)
	for i := range 40 { // so that its stream is stuck in a write
		c.post("shop", fmt.Sprintf(`{"do":"set","key":"k%d","value":"%d%s"}`, i%3, i, big))
		for idle.view.Revision < events.Revision(i+2) {
			if _, err := idle.next(); err != nil {
				t.Fatal(err)
			}
		}
	}
	start := time.Now()
	cancel()
	if last := idle.end(); last != view.EventGoodbye {
		t.Errorf("the last event was %s", last)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("the end took %s", took)
	}
	idle.body.Close()
	stuck.body.Close()
	transport.CloseIdleConnections()
	goleak.VerifyNone(t, before)
}

// TestWatchLeavesNothing: the tail ends with the last watcher, and begins again with the next.
func TestWatchLeavesNothing(t *testing.T) {
	c := serve(t, nil)
	c.post("shop", `{"do":"create","open":true}`)
	c.http.CloseIdleConnections()
	before := goleak.IgnoreCurrent()
	for range 3 {
		w, other := c.watch("shop", "").until(c.head()), c.watch("shop", "").until(c.head())
		w.body.Close()
		other.body.Close()
	}
	c.http.CloseIdleConnections()
	goleak.VerifyNone(t, before)
}

// TestWatchOutlivesTimeouts: the times that a server gives a request do not hold for a watch.
func TestWatchOutlivesTimeouts(t *testing.T) {
	const limit = 300 * time.Millisecond
	log := testenv.Log(t)
	srv := httptest.NewUnstartedServer(api.New(api.Config{Log: log, Logger: slog.New(slog.DiscardHandler)}))
	srv.Config.ReadTimeout, srv.Config.WriteTimeout = limit, limit
	srv.Start()
	t.Cleanup(srv.Close)
	c := &client{t: t, url: srv.URL, http: srv.Client(), log: log}
	c.post("shop", `{"do":"create","open":true}`)
	w := c.watch("shop", "").until(c.head())
	over := time.After(3 * limit)
	<-over
	c.post("shop", `{"do":"set","key":"k","value":1}`)
	w.until(c.head())
	sameView(t, "after the time", w.view, c.fold("shop", c.head()))
}

// TestWatchOtherHistory: a position of another history leads to a reset and a snapshot: at the start, and while watching.
func TestWatchOtherHistory(t *testing.T) {
	owner, app := testenv.Database(t)
	log, err := eventlog.Open(t.Context(), eventlog.Config{URL: app, Poll: 50 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	c := serveConfig(t, api.Config{Log: log})
	c.post("shop", `{"do":"create","open":true},{"do":"set","key":"k","value":1}`)
	head := c.head()
	reset := []string{"reset", "snapshot"}
	for _, query := range []string{"?after=1&epoch=another", fmt.Sprintf("?after=%d", head+1), "?after=0&epoch=another"} {
		w := c.watch("shop", query).until(head)
		if strings.Join(w.names, " ") != strings.Join(reset, " ") {
			t.Errorf("%s: got %v", query, w.names)
		}
		sameView(t, query, w.view, c.fold("shop", head))
	}

	w := c.watch("shop", "").until(head)
	conn, err := pgx.Connect(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "UPDATE head SET epoch = gen_random_uuid()"); err != nil {
		t.Fatal(err)
	}
	for old := w.view.Epoch; w.view.Epoch == old; {
		if _, err := w.next(); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(w.names, " "); got != "snapshot reset snapshot" {
		t.Errorf("got %s", got)
	}
	c.post("shop", `{"do":"set","key":"k","value":2}`)
	w.until(c.head())
	sameView(t, "in the new history", w.view, c.fold("shop", c.head()))
}

// TestWatchOutlivesPostgres: a watch goes on where it was when Postgres is back; one that begins meanwhile is refused.
func TestWatchOutlivesPostgres(t *testing.T) {
	_, app := testenv.Database(t)
	network := testenv.Proxy(t, app)
	open := func(url string) *eventlog.Log {
		log, err := eventlog.Open(t.Context(), eventlog.Config{URL: url, Timeout: 500 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(log.Close)
		return log
	}
	c, direct := serveConfig(t, api.Config{Log: open(network.URL)}), serveConfig(t, api.Config{Log: open(app)})
	c.post("shop", `{"do":"create","open":true}`)
	w := c.watch("shop", "").until(c.head())
	network.Cut()
	direct.post("shop", `{"do":"set","key":"k","value":1}`)
	if p := c.do("GET", "/v1/namespaces/shop/watch", "").problem(t, api.ProblemUnavailable); p.Status != http.StatusServiceUnavailable {
		t.Errorf("got %+v", p)
	}
	network.Restore()
	w.until(direct.head())
	sameView(t, "after the cut", w.view, direct.fold("shop", direct.head()))
	if strings.Join(w.names, " ") != "snapshot change" {
		t.Errorf("got %v", w.names)
	}
}

// TestWatchWithoutRedis: a Redis that is gone or hangs is nothing to a watch, under way or new.
func TestWatchWithoutRedis(t *testing.T) {
	for name, fail := range map[string]func(*testenv.Network){
		"cut":  (*testenv.Network).Cut,
		"hung": (*testenv.Network).Hang,
	} {
		t.Run(name, func(t *testing.T) {
			url, _ := testenv.Redis(t)
			network := testenv.Proxy(t, url)
			c := serve(t, quickRedis(t, network.URL))
			c.post("shop", `{"do":"create","open":true}`)
			old := c.watch("shop", "").until(c.head())
			fail(network)
			c.post("shop", `{"do":"set","key":"k","value":1}`)
			for which, w := range map[string]*watch{"under way": old, "new": c.watch("shop", "")} {
				w.until(c.head())
				sameView(t, which, w.view, c.fold("shop", c.head()))
			}
		})
	}
}

// TestWatchLongHistory: to catch up with a long history takes memory for a page of it, not for all.
func TestWatchLongHistory(t *testing.T) {
	c := serve(t, nil)
	c.post("shop", `{"do":"create","open":true}`)
	big := strings.Repeat("x", 200<<10)
	const n = 300 // 60 MB
	var keys []string
	for i := range n {
		keys = append(keys, fmt.Sprintf(`{"do":"set","key":"small%d","value":1}`, i))
	}
	c.post("shop", strings.Join(keys, ",")) // so that changes are less than the view
	start := c.fold("shop", c.head())
	for i := range n {
		c.post("shop", fmt.Sprintf(`{"do":"set","key":"big","value":"%d%s"}`, i, big))
	}
	var most uint64
	w := c.watch("shop", fmt.Sprintf("?after=%d", n+1))
	start.Position = n + 1
	w.from(start)
	w.events = nil // not to keep what was read
	before := heap()
	buf := make([]byte, 1<<20)
	for range n * len(big) / len(buf) {
		if _, err := io.ReadFull(w.body, buf); err != nil {
			t.Fatal(err)
		}
		if h := heap(); h > before && h-before > most {
			most = h - before
		}
	}
	if limit := uint64(40 << 20); most > limit {
		t.Errorf("the heap grew by %d MiB", most>>20)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
