package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-config/holdfast/events"
)

// acknowledged is an answer that the api gave to a write.
type acknowledged struct {
	Namespace events.Namespace `json:"namespace"`
	Revision  events.Revision  `json:"revision"`
	Position  events.Position  `json:"position"`
	Events    int              `json:"events"`
}

// post posts a change set; nil error means that it was acknowledged.
func post(ctx context.Context, api string, ns events.Namespace, idempotencyKey, body string) (acknowledged, error) {
	var ack acknowledged
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, api+"/v1/namespaces/"+string(ns)+"/commands", bytes.NewReader([]byte(body)))
	if err != nil {
		return ack, err
	}
	req.Header.Set("Content-Type", "application/json")
	if idempotencyKey != "" {
		req.Header.Set("Idempotency-Key", idempotencyKey)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return ack, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return ack, err
	}
	if resp.StatusCode != http.StatusOK {
		return ack, fmt.Errorf("%s: %s", resp.Status, answer)
	}
	return ack, json.Unmarshal(answer, &ack)
}

// mustPost posts a change set that has to be accepted.
func mustPost(t *testing.T, api string, ns events.Namespace, body string) acknowledged {
	t.Helper()
	ack, err := post(t.Context(), api, ns, "", body)
	if err != nil {
		t.Fatalf("post to %s: %v", ns, err)
	}
	return ack
}

// pairs is how many pairs of keys the load changes: "left.N" and "right.N" are always set together, to the same value.
const pairs = 8

// createPairs makes the namespaces, defines the pairs in the first, and returns the position of that.
func createPairs(t *testing.T, api string, namespaces ...events.Namespace) events.Position {
	t.Helper()
	for _, ns := range namespaces {
		mustPost(t, api, ns, `{"commands":[{"do":"create"}]}`)
	}
	var cmds []string
	for n := range pairs {
		for _, side := range []string{"left", "right"} {
			cmds = append(cmds, fmt.Sprintf(`{"do":"define","key":"%s.%d","definition":{"kind":"int","default":0,"min":0}}`, side, n))
		}
	}
	return mustPost(t, api, namespaces[0], `{"reason":"definitions","commands":[`+join(cmds)+`]}`).Position
}

// load posts change sets from several clients until stop is called. A write whose answer was lost is posted again with
// its key, until it is acknowledged or the load stops.
type load struct {
	t      *testing.T
	apis   []*process
	spaces []events.Namespace
	pace   time.Duration // of each client, between change sets
	ending atomic.Bool
	wg     sync.WaitGroup
	value  atomic.Int64
	lost   atomic.Int64 // answers that were lost, each retried

	mu    sync.Mutex
	acked []acknowledged
}

func startLoad(t *testing.T, clients int, apis []*process, spaces ...events.Namespace) *load {
	return startLoadAt(t, 0, clients, apis, spaces...)
}

// startLoadAt is startLoad with a pause between the change sets of each client.
func startLoadAt(t *testing.T, pace time.Duration, clients int, apis []*process, spaces ...events.Namespace) *load {
	l := &load{t: t, pace: pace, apis: apis, spaces: spaces}
	for c := range clients {
		l.wg.Go(func() { l.client(c) })
	}
	t.Cleanup(func() { l.stop() })
	return l
}

func (l *load) client(c int) {
	for i := 0; !l.ending.Load(); i++ {
		v, pair := l.value.Add(1), (c+i)%pairs
		ns := l.spaces[(c+i)%len(l.spaces)]
		body := fmt.Sprintf(`{"reason":"load","commands":[{"do":"set","key":"left.%d","value":%d},{"do":"set","key":"right.%d","value":%d}]}`, pair, v, pair, v)
		l.postUntilAnswered(c+i, ns, fmt.Sprintf("load-%d", v), body)
		if l.pace > 0 {
			<-time.After(l.pace)
		}
	}
}

func (l *load) postUntilAnswered(n int, ns events.Namespace, key, body string) {
	for try := n; !l.ending.Load(); try++ {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		ack, err := post(ctx, l.apis[try%len(l.apis)].url, ns, key, body)
		cancel()
		if err == nil {
			l.mu.Lock()
			l.acked = append(l.acked, ack)
			l.mu.Unlock()
			return
		}
		l.lost.Add(1)
		<-time.After(10 * time.Millisecond) // an api that is down refuses at once: do not hold a core
	}
}

// count is how many change sets were acknowledged so far.
func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// stop ends the load, when what is under way is answered, and returns what was acknowledged.
func (l *load) stop() []acknowledged {
	l.ending.Store(true)
	l.wg.Wait()
	return l.acked
}

func join(parts []string) string {
	var b bytes.Buffer
	for i, p := range parts {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(p)
	}
	return b.String()
}
