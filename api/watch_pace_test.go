package api

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/sse"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// TestWatchStuck: a client that takes nothing is cut off when its time is over, and gives up its seat.
func TestWatchStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := tailed()
		in := h.current
		_, ended := pipedWatch(t, h, 10)
		start := time.Now()
		<-ended
		if took := time.Since(start); took != writeTimeout {
			t.Errorf("cut off after %s, want %s", took, writeTimeout)
		}
		if in.watchers != 0 {
			t.Error("it has kept its seat")
		}
	})
}

// TestWatchSlow: a client that takes each piece just in time gets everything.
func TestWatchSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := pipedWatch(t, tailed(), 10)
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

// TestWatchBeats: every client hears something each second: a bookmark where the log has answered since the last. Of many
// that began at one moment few are written to at once.
func TestWatchBeats(t *testing.T) {
	const watchers, seconds = 100, 10
	for word, answers := range map[string]bool{"event: bookmark": true, ": no news": false} {
		synctest.Test(t, func(t *testing.T) {
			h := tailed()
			start, heard := time.Now(), make(chan time.Duration, watchers*seconds*2)
			for range watchers {
				client, _ := pipedWatch(t, h, 0)
				go func() {
					for lines := bufio.NewScanner(client); lines.Scan(); {
						if since := time.Since(start); since > 0 && strings.HasPrefix(lines.Text(), word) {
							heard <- since
						}
					}
				}()
			}
			synctest.Wait()
			for range seconds * 10 {
				time.Sleep(beat / 10)
				if answers {
					h.pass(h.current, nil, eventlog.Head{Epoch: "e", Position: 11})
				}
			}
			synctest.Wait()
			if n := len(heard); n < watchers*(seconds-1) || n > watchers*(seconds+1) {
				t.Errorf("%d watchers heard %q %d times in %d s", watchers, word, n, seconds)
			}
			together := map[time.Duration]int{}
			for range len(heard) {
				together[(<-heard).Truncate(beat/50)]++
			}
			for at, n := range together {
				if n > watchers/5 {
					t.Errorf("%d of %d watchers were written to at %s", n, watchers, at)
				}
			}
		})
	}
}

// TestBookmarksFollowTheirChanges: however slowly a client takes large changes, and whenever beats and further changes come
// meanwhile, it gets each change, and no bookmark before what that speaks for.
func TestBookmarksFollowTheirChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const changes = 200
		h := tailed()
		client, _ := pipedWatch(t, h, 0)
		go func() {
			big := events.Value(`"` + strings.Repeat("x", 3*writeAtOnce/2) + `"`)
			for n := range events.Position(changes) {
				select {
				case <-t.Context().Done():
					return
				case <-time.After(rand.N(beat * 3 / 2)):
				}
				ev := events.Recorded{Position: 12 + n, Namespace: "shop", Revision: events.Revision(12 + n), Event: events.ValueSet{Key: "k", Value: big}}
				if err := h.pass(h.current, []events.Recorded{ev}, eventlog.Head{Epoch: "e", Position: 12 + n}); err != nil {
					t.Error(err)
				}
			}
		}()
		resp, err := http.ReadResponse(bufio.NewReaderSize(&slowReader{client, beat / 12}, writeAtOnce), nil)
		if err != nil {
			t.Fatal(err)
		}
		stream, at := sse.NewReader(resp.Body, 0), events.Position(11)
		for at < 11+changes {
			ev, err := stream.Next()
			if err != nil {
				t.Fatal(err)
			}
			switch ev.Name {
			case view.EventChange:
				if at++; ev.ID != idOf(at) {
					t.Fatalf("the change at %s follows that at %d", ev.ID, at-1)
				}
			case view.EventBookmark:
				if b, err := view.ParseBookmark(ev.Data); err != nil || b.Position > at {
					t.Fatalf("a bookmark of %d (%v) after the change at %d", b.Position, err, at)
				}
			}
		}
	})
}

// slowReader takes a piece of the body of an answer now and then.
type slowReader struct {
	from  io.Reader
	pause time.Duration
}

func (r *slowReader) Read(b []byte) (int, error) {
	time.Sleep(r.pause)
	return r.from.Read(b)
}

// tailed returns a hub that tails a log which ends at position 11.
func tailed() *hub {
	h := newHub(nil, nil)
	h.current = &tailing{epoch: "e", position: 11, roots: map[events.Namespace]*watchedRoot{}, cancel: func() {}}
	h.pass(h.current, nil, eventlog.Head{Epoch: "e", Position: 11})
	return h
}

// pipedWatch begins a watch, of a view with some large values, over a connection that holds nothing itself. Ended is
// closed when the watch is over.
func pipedWatch(t *testing.T, h *hub, values int) (client net.Conn, ended <-chan struct{}) {
	t.Helper()
	fold := config.NewFold(config.Tree{})
	record := func(n int, ev events.Event) {
		fold.Apply(events.Recorded{Position: events.Position(n), Namespace: "shop", Revision: events.Revision(n), Event: ev})
	}
	record(1, events.NamespaceCreated{Open: true})
	for n := range values {
		record(n+2, events.ValueSet{Key: events.Key(fmt.Sprintf("k%d", n)), Value: events.Value(`"` + strings.Repeat("x", writeAtOnce) + `"`)})
	}
	s := &seat{hub: h, in: h.enter(), ns: "shop", queue: newQueue(), tree: fold.Tree()}
	if err := errors.Join(s.add(), s.settle()); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	client = servePipe(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(over)
		newWatcher(s, w, start{}).run(r.Context())
	})
	return client, over
}

// servePipe has a server answer one request, over a connection that holds nothing itself.
func servePipe(t *testing.T, h http.HandlerFunc) (client net.Conn) {
	t.Helper()
	client, server := net.Pipe()
	conns := make(pipes, 1)
	conns <- server
	srv, served := &http.Server{Handler: h}, make(chan struct{})
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
	return client
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
