package readmodel_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/holdfast-config/holdfast/readmodel"
)

// watched is an api whose watch says that db.max_conns is 80, and nothing after that.
func watched() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "event: snapshot\nid: 7\n"+
			`data: {"epoch":"e","namespace":"payments.prod","position":7,"revision":2,"values":{`+
			`"db.max_conns":{"value":80,"kind":"int","revision":2,"position":7,"from":"payments.prod"}}}`+"\n\n")
		w.(http.Flusher).Flush()
		<-req.Context().Done()
	}))
}

// Where Redis is down the reader follows the api; where nothing answers it starts from its last snapshot on disk.
func ExampleOpen_fallbacks() {
	dir, err := os.MkdirTemp("", "holdfast-example-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	api := watched()
	cfg := readmodel.Config{
		Redis:       "redis://127.0.0.1:1", // nobody answers there
		API:         api.URL,
		SnapshotDir: dir,
		MaxStale:    10 * time.Minute,
		Logger:      slog.New(slog.DiscardHandler),
	}
	for _, during := range []string{"redis is down", "the api too"} {
		r, err := readmodel.Open(context.Background(), "payments.prod", cfg)
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s: %s, %d\n", during, r.Status().State, MaxConns.Get(r))
		r.Close()
		api.Close()
		cfg.Wait = 10 * time.Millisecond
	}
	// Output:
	// redis is down: log, 80
	// the api too: disk, 80
}

// Where it must be fresh, nothing else will do.
func ExampleOpen_requireFresh() {
	_, err := readmodel.Open(context.Background(), "payments.prod", readmodel.Config{
		Redis: "redis://127.0.0.1:1", RequireFresh: true, AllowDefaults: true, Wait: 10 * time.Millisecond,
		Logger: slog.New(slog.DiscardHandler),
	})
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output: true
}

// Keys that the program declares and the namespace does not define are a mistake, of the one or the other.
func ExampleMismatch() {
	retries := readmodel.Int("http.retries", 3)
	_, err := readmodel.Open(context.Background(), "payments.prod", readmodel.Config{
		Source: make(memory), Keys: []readmodel.Declared{MaxConns, retries}, Mismatch: readmodel.Refuse,
		Logger: slog.New(slog.DiscardHandler),
	})
	fmt.Println(errors.Is(err, readmodel.ErrMismatch))
	fmt.Println(err)
	// Output:
	// true
	// open payments.prod: declared keys do not fit the namespace: key "http.retries" has neither a value nor a default in payments.prod: is it defined there?
}

// A source of one's own: [memory] above is one.
func ExampleSource() {
	source := make(memory)
	r, err := readmodel.Open(context.Background(), "payments.prod", readmodel.Config{
		Source: source, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	defer r.Close()
	source.set(3, "db.max_conns", "80")
	fmt.Println(r.WaitFor(context.Background(), 3), r.Status().Source, MaxConns.Get(r))
	// Output: <nil> memory 80
}
