package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

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
	return &conn{Conn: c, read: bufio.NewReader(c), head: "POST " + u.RequestURI() + " HTTP/1.1\r\nHost: " + u.Host +
		"\r\nContent-Type: application/json\r\nContent-Length: "}, nil
}

// post posts a body and checks the answer.
func (c *conn) post(body string) error {
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	c.out = append(append(strconv.AppendInt(append(c.out[:0], c.head...), int64(len(body)), 10), "\r\n\r\n"...), body...)
	if _, err := c.Write(c.out); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.read, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		answer, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
		return fmt.Errorf("%s: %s", resp.Status, answer)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
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
