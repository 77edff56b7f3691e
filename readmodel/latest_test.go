package readmodel

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/sse"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// taker is a sink that takes what it is given.
type taker struct{ Sink }

func (taker) Load(view.Head, map[events.Key]Entry) bool { return true }
func (taker) Confirm(_, _ events.Position, _ time.Time) {}

// An api that says at least that it is there, as it does while its log does not answer, is listened to; one that hangs is
// left.
func TestHungAPIIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const alive = time.Minute
		hangs := func(_ context.Context, _, _ string) (net.Conn, error) {
			client, server := net.Pipe()
			go func() {
				if _, err := http.ReadRequest(bufio.NewReader(server)); err != nil {
					t.Error(err)
				}
				snapshot, err := json.Marshal(view.Snapshot{Epoch: "e", Namespace: "n", Position: 1, Values: map[events.Key]Entry{}})
				if err != nil {
					t.Error(err)
				}
				io.WriteString(server, "HTTP/1.1 200 OK\r\nContent-Type: "+sse.ContentType+"\r\n\r\n")
				server.Write(sse.Append(nil, view.EventSnapshot, "1", snapshot))
				for range alive / time.Second {
					time.Sleep(time.Second)
					if _, err := io.WriteString(server, ": no news\n\n"); err != nil {
						return
					}
				}
			}()
			return client, nil
		}
		s, err := newAPISource("http://api")
		if err != nil {
			t.Fatal(err)
		}
		s.client.Transport.(*http.Transport).DialContext = hangs
		start := time.Now()
		err = s.Follow(t.Context(), "n", view.Head{}, taker{})
		if took := time.Since(start); !errors.Is(err, errSilent) || took != alive+silence {
			t.Errorf("left after %s: %v; want %s", took, err, alive+silence)
		}
	})
}
