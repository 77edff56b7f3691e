// Service is a small program that takes its settings from Holdfast: it answers over HTTP from memory, and prints each
// change the moment it lands, also while Redis is down.
//
//	HOLDFAST_REDIS=redis://127.0.0.1:6379 HOLDFAST_API=http://127.0.0.1:8080 go run ./examples/service
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/holdfast-config/holdfast/readmodel"
)

// The settings that this program reads, each with the value to use where none is set, and what it can work with.
var (
	workMem        = readmodel.Int("work_mem", 4096, readmodel.Range(64, 1<<20))
	maxConnections = readmodel.Int("max_connections", 100, readmodel.Range(1, 10_000))
	logStatement   = readmodel.Enum("log_statement", "none", "none", "ddl", "mod", "all")
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	opening, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := readmodel.Open(opening, "postgres.main", readmodel.Config{
		Redis: cmp.Or(os.Getenv("HOLDFAST_REDIS"), "redis://127.0.0.1:6379"),
		API:   cmp.Or(os.Getenv("HOLDFAST_API"), "http://127.0.0.1:8080"), // the latest events, while Redis is down
		Keys:  []readmodel.Declared{workMem, maxConnections, logStatement},
	})
	if err != nil {
		return err
	}
	defer r.Close()
	r.OnChange(show)
	http.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		s := r.Snapshot() // all values below are of one moment
		fmt.Fprintf(w, "work_mem %d, max_connections %d, log_statement %s (position %d)\n",
			workMem.Get(s), maxConnections.Get(s), logStatement.Get(s), s.Position())
	})
	return serve(ctx)
}

// show prints what a change set did to the settings, and who made it and why.
func show(c readmodel.Changed) {
	for _, k := range c.Changes {
		fmt.Printf("%s: %s → %s, revision %d by %s: %s\n", k.Key, text(k.Old), text(k.New), c.OriginRevision, c.Actor, c.Reason)
	}
}

func text(e *readmodel.Entry) string {
	switch {
	case e == nil:
		return "none"
	case e.Sensitive:
		return "••••"
	}
	return string(e.Value)
}

func serve(ctx context.Context) error {
	ln, err := net.Listen("tcp", cmp.Or(os.Getenv("SERVICE_LISTEN"), "127.0.0.1:8090"))
	if err != nil {
		return err
	}
	fmt.Printf("listening on http://%s\n", ln.Addr())
	server := http.Server{ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
