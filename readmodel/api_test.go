package readmodel_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/sse"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// logged is as much of the api as a reader sees: the watch of one namespace, over what was posted to it.
type logged struct {
	*httptest.Server
	t        testing.TB
	epoch    string
	watchers atomic.Int32 // watches that were begun

	mu      sync.Mutex
	head    view.Head
	entries map[events.Key]view.Entry
	sets    []view.ChangeSet
	changed chan struct{}
	closing context.Context
	close   context.CancelFunc
}

func newLogged(t testing.TB) *logged {
	l := &logged{t: t, epoch: "epoch-1", entries: map[events.Key]view.Entry{}, changed: make(chan struct{})}
	l.up()
	t.Cleanup(func() { l.down() })
	return l
}

func (l *logged) up() {
	l.closing, l.close = context.WithCancel(context.Background())
	l.Server = httptest.NewServer(http.HandlerFunc(l.watch))
}

func (l *logged) down() {
	l.close()
	l.Server.Close()
}

// set appends one change set of one value.
func (l *logged) set(key, value string) events.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	prev := l.head.Position
	l.head.Epoch, l.head.Position, l.head.Revision = l.epoch, prev+1, l.head.Revision+1
	e := view.Entry{Value: events.Value(value), Kind: events.JSON, Revision: l.head.Revision, Position: prev + 1, From: string(ns)}
	l.entries[events.Key(key)] = e
	l.sets = append(l.sets, view.ChangeSet{
		Epoch: l.epoch, Namespace: ns, Position: prev + 1, Prev: prev, Revision: l.head.Revision, Origin: ns, Actor: "ada",
		Changes: []view.Change{{Key: events.Key(key), Entry: &e}},
	})
	close(l.changed)
	l.changed = make(chan struct{})
	return prev + 1
}

func (l *logged) watch(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/v1/namespaces/"+string(ns)+"/watch" {
		w.WriteHeader(http.StatusNotFound)
		json.NewEncoder(w).Encode(map[string]string{"detail": "namespace does not exist"})
		return
	}
	l.watchers.Add(1)
	id := r.Header.Get("Last-Event-ID")
	w.Header().Set("Content-Type", sse.ContentType)
	after, fresh := l.begin(w, id)
	for fresh {
		l.mu.Lock()
		sets, changed, head := l.sets, l.changed, l.head
		l.mu.Unlock()
		for _, cs := range sets {
			if cs.Position > after {
				l.send(w, view.EventChange, cs.Position, cs)
				after = cs.Position
			}
		}
		l.send(w, view.EventBookmark, after, view.Bookmark{Epoch: l.epoch, Position: after, Head: head.Position})
		w.(http.Flusher).Flush()
		select {
		case <-changed:
		case <-time.After(time.Second):
		case <-r.Context().Done():
			return
		case <-l.closing.Done():
			l.send(w, view.EventGoodbye, after, struct{}{})
			return
		}
	}
}

// begin sends a snapshot to whoever does not say from where to go on.
func (l *logged) begin(w http.ResponseWriter, id string) (after events.Position, ok bool) {
	l.mu.Lock()
	s := view.Snapshot{Epoch: l.epoch, Namespace: ns, Position: l.head.Position, Revision: l.head.Revision, Values: maps.Clone(l.entries)}
	l.mu.Unlock()
	if n, err := strconv.ParseInt(id, 10, 64); err == nil && events.Position(n) <= s.Position {
		return events.Position(n), true
	}
	if id != "" {
		l.send(w, view.EventReset, 0, view.Reset{Epoch: l.epoch})
	}
	l.send(w, view.EventSnapshot, s.Position, s)
	return s.Position, true
}

func (l *logged) send(w http.ResponseWriter, name string, id events.Position, data any) {
	text, err := json.Marshal(data)
	if err != nil {
		l.t.Error(err)
	}
	w.Write(sse.Append(nil, name, strconv.FormatInt(int64(id), 10), text))
}
