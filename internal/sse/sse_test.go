package sse_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-config/holdfast/internal/sse"
)

// readAll reads events until an error.
func readAll(r io.Reader, limit int) (all []sse.Event, err error) {
	reader := sse.NewReader(r, limit)
	for {
		ev, err := reader.Next()
		if err != nil {
			return all, err
		}
		all = append(all, ev)
	}
}

func TestReader(t *testing.T) {
	event := func(name, id, data string) sse.Event { return sse.Event{Name: name, ID: id, Data: []byte(data)} }
	long := strings.Repeat("x", 9_000)
	for name, c := range map[string]struct {
		text string
		want []sse.Event
		err  error
	}{
		"nothing":             {"", nil, io.EOF},
		"one":                 {"event: change\nid: 3\ndata: {}\n\n", []sse.Event{event("change", "3", "{}")}, io.EOF},
		"no name":             {"data: a\n\n", []sse.Event{event("message", "", "a")}, io.EOF},
		"no space":            {"event:a\ndata:b\n\n", []sse.Event{event("a", "", "b")}, io.EOF},
		"one space goes":      {"data:  b\n\n", []sse.Event{event("message", "", " b")}, io.EOF},
		"lines":               {"data: a\ndata\ndata: b\n\n", []sse.Event{event("message", "", "a\n\nb")}, io.EOF},
		"ends of lines":       {"data: a\r\rdata: b\r\n\r\ndata: c\n\n", []sse.Event{event("message", "", "a"), event("message", "", "b"), event("message", "", "c")}, io.EOF},
		"mark":                {"\ufeffdata: a\n\n", []sse.Event{event("message", "", "a")}, io.EOF},
		"comments":            {": hi\n\n:\ndata: a\n: there\n\n", []sse.Event{event("message", "", "a")}, io.EOF},
		"id sticks":           {"id: 1\ndata: a\n\ndata: b\n\nid: 2\n\ndata: c\n\n", []sse.Event{event("message", "1", "a"), event("message", "1", "b"), event("message", "2", "c")}, io.EOF},
		"id with a zero":      {"id: 1\ndata: a\n\nid: 2\x00\ndata: b\n\n", []sse.Event{event("message", "1", "a"), event("message", "1", "b")}, io.EOF},
		"name without data":   {"event: a\n\ndata: b\n\n", []sse.Event{event("message", "", "b")}, io.EOF},
		"unknown field":       {"retry: 10\nfoo: bar\ndata: a\n\n", []sse.Event{event("message", "", "a")}, io.EOF},
		"longer than buffers": {"data: " + long + "\n\n", []sse.Event{event("message", "", long)}, io.EOF},
		"cut":                 {"data: a\n\ndata: b\n", []sse.Event{event("message", "", "a")}, io.ErrUnexpectedEOF},
		"cut in a line":       {"data: a\n\nda", []sse.Event{event("message", "", "a")}, io.ErrUnexpectedEOF},
		"line over limit":     {"data: a\n\ndata: " + long + long, []sse.Event{event("message", "", "a")}, sse.ErrTooLong},
		"lines over limit":    {strings.Repeat("data: "+long[:100]+"\n", 200), nil, sse.ErrTooLong},
		"comments over limit": {strings.Repeat(": "+long[:100]+"\n", 200), nil, sse.ErrTooLong},
	} {
		t.Run(name, func(t *testing.T) {
			for way, r := range map[string]io.Reader{"whole": strings.NewReader(c.text), "byte by byte": iotest.OneByteReader(strings.NewReader(c.text))} {
				got, err := readAll(r, 10_000)
				if !errors.Is(err, c.err) {
					t.Errorf("%s: got error %v, want %v", way, err, c.err)
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("%s: %s", way, diff)
				}
			}
		})
	}
}

// FuzzReader: whatever comes, the reader ends, holds no event over its limit, does not care how the bytes were cut, and
// reads again what Append writes of what it read.
func FuzzReader(f *testing.F) {
	f.Add([]byte("event: change\nid: 3\ndata: {}\n\n"))
	f.Add([]byte("\ufeff: c\r\ndata: a\rdata: b\r\r\nid: 1\x00\n\ndata"))
	f.Fuzz(func(t *testing.T, text []byte) {
		const limit = 64
		got, err := readAll(bytes.NewReader(text), limit)
		cut, cutErr := readAll(iotest.HalfReader(iotest.OneByteReader(bytes.NewReader(text))), limit)
		if diff := cmp.Diff(got, cut); diff != "" || err.Error() != cutErr.Error() {
			t.Fatalf("%v and %v: %s", err, cutErr, diff)
		}
		var again []byte
		for _, ev := range got {
			if len(ev.Data) > limit {
				t.Fatalf("an event of %d bytes", len(ev.Data))
			}
			again = sse.Append(again, ev.Name, ev.ID, ev.Data)
		}
		back, err := readAll(bytes.NewReader(again), 0)
		if diff := cmp.Diff(got, back); diff != "" || err != io.EOF {
			t.Fatalf("%v in %q: %s", err, again, diff)
		}
	})
}
