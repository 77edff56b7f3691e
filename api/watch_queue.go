package api

import (
	"errors"
	"sync"

	"github.com/holdfast-config/holdfast/events"
)

// queueBytes bounds what waits for one watcher. A single event may be larger, if nothing else waits.
const queueBytes = 1 << 20

// errOverflow: the client reads more slowly than changes come.
var errOverflow = errors.New("the client is too slow")

// message is a change as it is sent, encoded once for all watchers of a namespace. Each watcher's own prev goes between
// head and tail.
type message struct {
	head, tail []byte
	position   events.Position
}

func (m message) size() int { return len(m.head) + len(m.tail) + 100 }

// queue is what waits for one watcher. Who pushes never waits.
type queue struct {
	ready chan struct{} // holds one when there is something to take

	mu       sync.Mutex
	messages []message
	bytes    int
	ended    error // why no more come
}

func newQueue() *queue { return &queue{ready: make(chan struct{}, 1)} }

func (q *queue) push(m message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.ended != nil:
		return
	case len(q.messages) > 0 && q.bytes+m.size() > queueBytes:
		q.end(errOverflow)
		return
	}
	q.messages, q.bytes = append(q.messages, m), q.bytes+m.size()
	q.signal()
}

// close ends the queue: what waits is dropped, since the client resumes from what it has.
func (q *queue) close(why error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended == nil {
		q.end(why)
	}
}

// end and signal are called with mu held.
func (q *queue) end(why error) {
	q.messages, q.bytes, q.ended = nil, 0, why
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// take returns what waits, or why no more comes.
func (q *queue) take() ([]message, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	messages := q.messages
	q.messages, q.bytes = nil, 0
	return messages, q.ended
}
