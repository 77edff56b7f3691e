package api

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/sse"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

const (
	writeAtOnce   = 64 << 10         // bytes of a stream
	writeTimeout  = 10 * time.Second // for a client to take that much
	goodbyeWithin = time.Second      // the same when the server ends
)

// stream writes events, or lines, to one client. It does not wait longer than writeTimeout for it, and keeps no event whole
// that is written in parts.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	closing context.Context // of the server
	pending []byte          // not written yet
}

// openStream begins an answer of the type. The time that the server gives to write an answer does not hold for it, and that to
// read a request ended with its header.
func openStream(w http.ResponseWriter, contentType string, closing context.Context) (*stream, error) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	h.Set("Connection", "close")     // its deadlines would hold for a next request
	st := &stream{w: w, control: http.NewResponseController(w), closing: closing}
	w.WriteHeader(http.StatusOK)
	return st, st.flush()
}

// add adds to what is written next, and writes it where it is enough.
func (st *stream) add(parts ...[]byte) error {
	for _, part := range parts {
		st.pending = append(st.pending, part...)
	}
	if len(st.pending) < writeAtOnce {
		return nil
	}
	return st.write()
}

// write hands what is pending to the connection, in pieces that each have their time.
func (st *stream) write() error {
	for b := st.pending; len(b) > 0; {
		n := min(len(b), writeAtOnce)
		if err := st.extend(); err != nil {
			return err
		}
		if _, err := st.w.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	st.pending = st.pending[:0]
	return nil
}

// flush sends everything that was added.
func (st *stream) flush() error {
	if err := st.write(); err != nil {
		return err
	}
	if cap(st.pending) > 4<<10 {
		st.pending = nil // most watchers idle most of the time
	}
	if err := st.extend(); err != nil {
		return err
	}
	return st.control.Flush()
}

// extend gives the client time for the next piece.
func (st *stream) extend() error {
	within := writeTimeout
	if st.closing.Err() != nil {
		within = goodbyeWithin
	}
	return st.control.SetWriteDeadline(time.Now().Add(within))
}

// snapshot adds the whole view that the seat's tree has.
func (st *stream) snapshot(s *seat, at events.Position) error {
	own, _ := s.tree.Namespace(s.ns)
	open := view.Snapshot{Epoch: s.epoch, Namespace: s.ns, Position: at, Revision: own.Revision}
	err := st.add(view.AppendSnapshotOpen(sse.AppendOpen(nil, view.EventSnapshot, idOf(at)), open))
	n := 0
	var entry []byte
	for key, e := range s.tree.Entries(s.ns) {
		if err != nil {
			return err
		}
		entry = view.AppendSnapshotEntry(entry[:0], n, key, view.Entry(e))
		err = st.add(entry)
		n++
	}
	if err != nil {
		return err
	}
	return st.add([]byte(view.SnapshotEnd + sse.End))
}
