// Package sse is the form of server-sent events (WHATWG HTML, section "Server-sent events"), both ways: [Append] writes
// an event, a [Reader] reads them from a stream that may be endless, broken or hostile, in bounded memory.
//
//	event: change
//	id: 345
//	data: {…}
//	(an empty line ends the event; a line that starts with a colon is a comment)
package sse

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// ContentType is the media type of a stream of events.
const ContentType = "text/event-stream"

// DefaultLimit bounds an event where a Reader is given no limit: its lines, comments before it included, in bytes.
const DefaultLimit = 64 << 20

// ErrTooLong: an event is over the Reader's limit. The stream can not be read on.
var ErrTooLong = errors.New("event is too long")

// Event is one server-sent event.
type Event struct {
	Name string // "message" where the stream names none
	ID   string // of the last event so far that had one
	Data []byte // lines joined by "\n"
}

// Append appends an event with data, which may have line breaks, to b. An id that is empty is left out. Name and id must
// have no line breaks.
func Append(b []byte, name, id string, data []byte) []byte {
	b = AppendOpen(b, name, id)
	for i, line := range bytes.Split(data, []byte("\n")) {
		if i > 0 {
			b = append(b, "\ndata: "...)
		}
		b = append(b, line...)
	}
	return append(b, End...)
}

// AppendOpen appends an event up to where its data begins, for data that is written in parts and has no line breaks.
// [End] ends it.
func AppendOpen(b []byte, name, id string) []byte {
	b = append(append(b, "event: "...), name...)
	if id != "" {
		b = append(append(b, "\nid: "...), id...)
	}
	return append(b, "\ndata: "...)
}

// End is what ends an event after its data.
const End = "\n\n"

// Reader reads events. It is not safe for concurrent use.
type Reader struct {
	lines *bufio.Reader
	limit int
	id    string // sticks until another comes
	begun bool   // something was read
	lf    bool   // the last line ended with "\r": a "\n" next belongs to it
}

// NewReader returns a reader of r that holds at most about limit bytes of one event; 0: [DefaultLimit].
func NewReader(r io.Reader, limit int) *Reader {
	if limit <= 0 {
		limit = DefaultLimit
	}
	return &Reader{lines: bufio.NewReader(r), limit: limit}
}

// Next returns the next event. It returns io.EOF where the stream ends between events, io.ErrUnexpectedEOF where it ends
// within one, which is dropped, [ErrTooLong], or what reading the stream returned.
func (r *Reader) Next() (Event, error) {
	var ev Event
	var size int
	var within, data bool
	for {
		line, err := r.line(r.limit - size)
		if err != nil {
			if err == io.EOF && (within || len(line) > 0) {
				err = io.ErrUnexpectedEOF
			}
			return Event{}, err
		}
		size += len(line) + 1
		if len(line) == 0 {
			if data {
				if ev.Name == "" {
					ev.Name = "message"
				}
				ev.ID = r.id
				return ev, nil
			}
			ev, size, within = Event{}, 0, false // without data it is none
			continue
		}
		within = true
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "event":
			ev.Name = string(value)
		case "data":
			if data {
				ev.Data = append(ev.Data, '\n')
			}
			ev.Data, data = append(ev.Data, value...), true
		case "id":
			if bytes.IndexByte(value, 0) < 0 {
				r.id = string(value)
			}
		}
	}
}

// line returns the next line without its end, which is "\n", "\r\n" or "\r". It is valid until the next call. With io.EOF it
// returns what came of a line.
func (r *Reader) line(limit int) ([]byte, error) {
	var long []byte // a line that does not fit the buffer
	for {
		part, err := r.lines.Peek(max(1, r.lines.Buffered()))
		if len(part) == 0 {
			return long, err
		}
		if r.lf && part[0] == '\n' {
			r.lines.Discard(1)
			r.lf = false
			continue
		}
		r.lf = false
		end := bytes.IndexAny(part, "\r\n")
		if end < 0 {
			end = len(part)
		}
		if len(long)+end > limit {
			return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLong, r.limit)
		}
		if end == len(part) {
			long = append(long, part...)
			r.lines.Discard(end)
			continue
		}
		r.lf = part[end] == '\r'
		line := append(long, part[:end]...)
		r.lines.Discard(end + 1)
		if !r.begun {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
			r.begun = true
		}
		return line, nil
	}
}
