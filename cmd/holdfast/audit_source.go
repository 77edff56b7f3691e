package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/holdfast-config/holdfast/audit"
	"github.com/holdfast-config/holdfast/events"
)

// export is a log in a file.
type export struct{ file string }

// Lines yields the lines of the file.
func (e export) Lines(_ context.Context, after events.Position) iter.Seq2[audit.Line, error] {
	return func(yield func(audit.Line, error) bool) {
		f, err := os.Open(e.file)
		if err != nil {
			yield(audit.Line{}, err)
			return
		}
		defer f.Close()
		audit.ReadLines(f, after)(yield)
	}
}

// Tile knows none.
func (e export) Tile(context.Context, int, int64) ([]byte, error) {
	return nil, errors.New("an export has none")
}

// Lines yields the lines of the log from the api. Where the connection breaks, it goes on after the last event, up to where
// the log was sealed when it began.
func (c *client) Lines(ctx context.Context, after events.Position) iter.Seq2[audit.Line, error] {
	return func(yield func(audit.Line, error) bool) {
		r := reading{client: c, after: after, yield: yield}
		for attempt := 0; ; attempt++ {
			before := r.after
			done, err := r.some(ctx)
			if done {
				return
			}
			if r.after > before {
				attempt = 0
			}
			var transport *transportError
			if !errors.As(err, &transport) || attempt == len(c.pauses) || !pause(ctx, c.pauses[attempt]) {
				yield(audit.Line{}, c.gaveUp(ctx, request{method: http.MethodGet}, true, err))
				return
			}
		}
	}
}

// reading is the lines of a log as they are read, over one connection after the other.
type reading struct {
	*client
	after events.Position // the last event that was yielded
	until int64           // 0: not known yet
	yield func(audit.Line, error) bool
}

// some yields lines until there are no more or nobody wants more (done), or none comes in time.
func (r *reading) some(ctx context.Context) (done bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := time.AfterFunc(r.timeout, func() { cancel(errNoAnswer) })
	defer patience.Stop()
	query := url.Values{"after": {fmt.Sprint(r.after)}}
	if r.until > 0 {
		query.Set("until", fmt.Sprint(r.until))
	}
	body, err := r.open(ctx, r.path("v1", "log", "events"), query)
	if err != nil {
		return false, err
	}
	defer body.Close()
	for line, err := range audit.ReadLines(body, r.after) {
		if err != nil {
			return false, &transportError{fmt.Errorf("its answer broke off: %w", cmp.Or(context.Cause(ctx), err)), true}
		}
		if r.until == 0 {
			newest, _ := audit.OpenCheckpoint(line.Checkpoint, "") // whoever verifies says what is wrong with it
			r.until = newest.N
		}
		if !r.yield(line, nil) {
			return true, nil
		}
		r.after = max(r.after, line.Position)
		patience.Reset(r.timeout)
	}
	return true, nil
}

// Tile reads a tile from the api.
func (c *client) Tile(ctx context.Context, level int, n int64) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, errNoAnswer)
	defer cancel()
	body, err := c.open(ctx, c.path("v1", "log", "tiles", strconv.Itoa(level), strconv.FormatInt(n, 10)), nil)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(io.LimitReader(body, maxTileBytes))
}

const maxTileBytes = 256 * 32

// open returns the body of an answer, which may be long.
func (c *client) open(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, &transportError{plainCause(cmp.Or(context.Cause(ctx), err)), true}
	}
	if resp.StatusCode >= 400 {
		defer resp.Body.Close()
		return nil, problemOf(resp)
	}
	return resp.Body, nil
}
