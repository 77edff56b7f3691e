package testenv

import (
	"context"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// Network stands between a test and a server, and fails as networks do. Clients that connect to URL reach the server.
// Its methods may be called at any time; each takes the place of the one before.
type Network struct {
	URL string

	listener net.Listener
	dial     func(context.Context) (net.Conn, error)
	done     sync.WaitGroup
	stop     context.CancelFunc

	mu      sync.Mutex
	mode    mode
	changed chan struct{} // closed when mode changes
	conns   map[net.Conn]struct{}
	closed  bool
}

// mode is what happens to the bytes.
type mode struct {
	cut     bool          // nobody is reached
	hang    bool          // nothing passes, in either direction
	deaf    bool          // requests pass, answers are lost
	latency time.Duration // for each answer
}

// Proxy puts a network in front of the server at target, a postgres:// or redis:// URL, until the test ends.
func Proxy(t testing.TB, target string) *Network {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal("the target of a proxy is no URL")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	n := &Network{
		listener: listener,
		dial:     dialer(u),
		stop:     stop,
		changed:  make(chan struct{}),
		conns:    map[net.Conn]struct{}{},
	}
	n.URL = through(*u, listener.Addr())
	n.done.Go(func() { n.serve(ctx) })
	t.Cleanup(n.close)
	return n
}

// dialer returns how the server of a URL is reached: libpq's form has the directory of a socket as parameter host.
func dialer(u *url.URL) func(context.Context) (net.Conn, error) {
	network, address := "tcp", u.Host
	switch host := u.Query().Get("host"); {
	case strings.HasPrefix(host, "/"):
		network, address = "unix", host+"/.s.PGSQL."+u.Query().Get("port")
	case u.Port() == "" && u.Scheme == "redis":
		address = net.JoinHostPort(u.Hostname(), "6379")
	case u.Port() == "":
		address = net.JoinHostPort(u.Hostname(), "5432")
	}
	var d net.Dialer
	return func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, network, address) }
}

// through returns u with another address.
func through(u url.URL, address net.Addr) string {
	u.Host = address.String()
	query := u.Query()
	query.Del("host")
	query.Del("port")
	u.RawQuery = query.Encode()
	return u.String()
}

// Cut breaks all connections, and new ones as soon as they are made.
func (n *Network) Cut() {
	n.set(mode{cut: true})
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		c.Close()
	}
}

// Hang keeps connections open, and passes nothing in either direction: what is sent waits, and passes after Restore.
func (n *Network) Hang() { n.set(mode{hang: true}) }

// LoseAnswers passes requests and drops what the server answers, so that work is done and nobody is told. Connections
// with a lost answer are of no use afterwards: call Cut.
func (n *Network) LoseAnswers() { n.set(mode{deaf: true}) }

// Slow delays every answer.
func (n *Network) Slow(latency time.Duration) { n.set(mode{latency: latency}) }

// Restore lets everything pass again.
func (n *Network) Restore() { n.set(mode{}) }

func (n *Network) set(m mode) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mode = m
	close(n.changed)
	n.changed = make(chan struct{})
}

func (n *Network) serve(ctx context.Context) {
	for {
		client, err := n.listener.Accept()
		if err != nil {
			return
		}
		n.done.Go(func() { n.connect(ctx, client) })
	}
}

// connect joins client and server until either ends, or the network is cut.
func (n *Network) connect(ctx context.Context, client net.Conn) {
	defer client.Close()
	if !n.keep(client) {
		return
	}
	defer n.forget(client)
	server, err := n.dial(ctx)
	if err != nil {
		return
	}
	defer server.Close()
	if !n.keep(server) {
		return
	}
	defer n.forget(server)
	var both sync.WaitGroup
	pass := func(to, from net.Conn, answers bool) {
		n.pass(ctx, to, from, answers)
		to.Close()
		from.Close()
	}
	both.Go(func() { pass(server, client, false) })
	both.Go(func() { pass(client, server, true) })
	both.Wait()
}

// keep remembers a connection, unless there is to be none.
func (n *Network) keep(c net.Conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || n.mode.cut {
		return false
	}
	n.conns[c] = struct{}{}
	return true
}

func (n *Network) forget(c net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, c)
}

// pass copies in one direction, as the mode has it at the time.
func (n *Network) pass(ctx context.Context, to io.Writer, from io.Reader, answers bool) {
	buf := make([]byte, 64<<10)
	for {
		size, err := from.Read(buf)
		if size > 0 && n.admit(ctx, answers) {
			if _, err := to.Write(buf[:size]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// admit waits as long as the mode says and reports whether the bytes pass.
func (n *Network) admit(ctx context.Context, answer bool) bool {
	for {
		n.mu.Lock()
		m, changed := n.mode, n.changed
		n.mu.Unlock()
		var due <-chan time.Time // for ever
		switch {
		case m.cut || answer && m.deaf:
			return false
		case m.hang:
		case answer && m.latency > 0:
			due = time.After(m.latency)
		default:
			return true
		}
		select {
		case <-due:
			return true
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

func (n *Network) close() {
	n.stop()
	n.listener.Close()
	n.mu.Lock()
	n.closed = true
	for c := range n.conns {
		c.Close()
	}
	n.mu.Unlock()
	n.done.Wait()
}
