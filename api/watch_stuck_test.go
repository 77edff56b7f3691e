package api

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

// TestWatchStuck: a client that takes nothing is cut off when its time is over, and gives up its seat.
func TestWatchStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, left := watchLarge(t)
		start := time.Now()
		<-left
		if took := time.Since(start); took != writeTimeout {
			t.Errorf("cut off after %s, want %s", took, writeTimeout)
		}
	})
}

// TestWatchSlow: a client that takes each piece just in time gets everything.
func TestWatchSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := watchLarge(t)
		got, piece := "", make([]byte, writeAtOnce)
		for !strings.Contains(got, "event: bookmark") {
			time.Sleep(writeTimeout - time.Second)
			client.SetReadDeadline(time.Now().Add(time.Millisecond))
			n, err := io.ReadFull(client, piece)
			if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("after %d bytes: %v", len(got), err)
			}
			got += string(piece[:n])
		}
		if len(got) < 2*writeAtOnce {
			t.Errorf("%d bytes are too few to take longer than the time for one piece", len(got))
		}
	})
}

// watchLarge begins a watch of a view of several pieces, over a connection that holds nothing itself. Left is closed
// when the watch has given up its seat.
func watchLarge(t *testing.T) (client net.Conn, left <-chan struct{}) {
	t.Helper()
	fold := config.NewFold(config.Tree{})
	record := func(n int, ev events.Event) {
		fold.Apply(events.Recorded{Position: events.Position(n), Namespace: "shop", Revision: events.Revision(n), Event: ev})
	}
	record(1, events.NamespaceCreated{Open: true})
	for n := range 10 {
		record(n+2, events.ValueSet{Key: events.Key(fmt.Sprintf("k%d", n)), Value: events.Value(`"` + strings.Repeat("x", writeAtOnce) + `"`)})
	}
	ended := make(chan struct{})
	in := &tailing{epoch: "e", position: 11, watchers: 1, roots: map[events.Namespace]*watchedRoot{}, cancel: func() { close(ended) }}
	s := &seat{hub: newHub(nil, nil), in: in, ns: "shop", queue: newQueue(), tree: fold.Tree()}
	if err := errors.Join(s.add(), s.settle()); err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		newWatcher(s, w, start{}).run(r.Context())
	})}
	client, server := net.Pipe()
	conns := make(pipes, 1)
	conns <- server
	served := make(chan struct{})
	go func() {
		defer close(served)
		srv.Serve(conns)
	}()
	t.Cleanup(func() {
		client.Close()
		srv.Close()
		<-served
	})
	if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return client, ended
}

// pipes are connections that a server accepts.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error {
	close(p)
	return nil
}

func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }
