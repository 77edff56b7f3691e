package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"time"
)

// patience is how long a connection may be used: no measurement takes so long.
const patience = 5 * time.Minute

// conn is one connection over which requests are posted one after the other. It is as plain as a load generator can be,
// so that it takes little of the processors that it shares with what is measured. Both sides that speak JSON get it.
type conn struct {
	net.Conn
	read *bufio.Reader
	head string // request line and headers, up to the length of the body
	out  []byte
}

func dial(ctx context.Context, target string) (*conn, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	return &conn{Conn: c, read: bufio.NewReader(c), head: "POST " + u.RequestURI() + " HTTP/1.1\r\nHost: " + u.Host +
		"\r\nContent-Type: application/json\r\nContent-Length: "}, nil
}

// post posts a body and checks the answer.
func (c *conn) post(body string) error {
	c.out = append(append(strconv.AppendInt(append(c.out[:0], c.head...), int64(len(body)), 10), "\r\n\r\n"...), body...)
	if _, err := c.Write(c.out); err != nil {
		return err
	}
	status, length, err := c.answer()
	if err != nil {
		return err
	}
	if status/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(c.read, int64(length)))
		return fmt.Errorf("status %d: %s", status, text)
	}
	_, err = c.read.Discard(length)
	return err
}

// answer reads an answer's head: its status, and the length of its body.
func (c *conn) answer() (status, length int, err error) {
	line, err := c.line()
	if err != nil {
		return 0, 0, err
	}
	code, ok := bytes.CutPrefix(line, []byte("HTTP/1.1 "))
	if !ok || len(code) < 3 {
		return 0, 0, fmt.Errorf("not an answer: %q", line)
	}
	if status, err = strconv.Atoi(string(code[:3])); err != nil {
		return 0, 0, err
	}
	for {
		if line, err = c.line(); err != nil || len(line) == 0 {
			return status, length, err
		}
		if n, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(n)); err != nil {
				return 0, 0, err
			}
		}
	}
}

// line reads one line of the answer's head.
func (c *conn) line() ([]byte, error) {
	line, err := c.read.ReadSlice('\n')
	return bytes.TrimRight(line, "\r\n"), err
}

// postLoop measures posts a second, each client over a connection of its own.
func postLoop(ctx context.Context, target string, clients int, d time.Duration, body func(client int) string) (float64, error) {
	conns := make([]*conn, clients)
	for i := range conns {
		c, err := dial(ctx, target)
		if err != nil {
			return 0, err
		}
		defer c.Close()
		conns[i] = c
	}
	return closedLoop(ctx, clients, d, func(_ context.Context, c int) error { return conns[c].post(body(c)) })
}
