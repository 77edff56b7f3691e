package eventlog

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

const (
	maxBatch     = 512                    // change sets that are decided together, at most
	maxUnchecked = 100 * time.Millisecond // after which a connection must answer before it is used again
)

// appender is the group commit: one goroutine that takes all postings that wait, decides them in memory and stores them
// in one transaction. While one batch is being stored, the next is decided on top of it, as if it were stored already; if
// it is not, the next one is void and its postings are decided anew.
//
// It holds the folded trees of the roots it writes, all as of the same head. What it holds lives only as long as the
// connection that it was read over: after a failover, the server at the other end may have lost the last commits, and
// its head may come by the same position again with other events. Trees that are missing are loaded beside it, so that a
// large one does not hold up the others; the postings that need it are parked meanwhile.
type appender struct {
	log     *Log
	logger  *slog.Logger
	timeout time.Duration

	pending atomic.Int64 // postings not answered yet
	wake    chan struct{}
	loads   chan load
	stop    context.Context // ends when Close is called
	close   context.CancelFunc

	mu     sync.Mutex
	queue  []*posting // in the order in which they came
	closed bool

	// Only run's goroutine touches these.
	conn      *pgx.Conn
	used      time.Time // when conn last answered
	session   int       // counts connections: what was begun under another one is void
	head      Head      // all trees are as of here
	trees     *trees
	parked    map[events.Namespace][]*posting // by root
	loading   sync.WaitGroup
	contended bool         // another process wrote between the last two batches
	storing   *batch       // sent: the connection is in use until its outcome comes; nil: none
	stored    chan outcome // of storing
	next      *batch       // decided on top of storing, while that is under way; nil: none
	held      []*posting   // to be taken again after storing
}

// load is a tree that was read beside the appender.
type load struct {
	root    events.Namespace
	session int
	at      events.Position
	tree    config.Tree
	err     error
}

func newAppender(l *Log) *appender {
	a := &appender{
		log: l, logger: l.cfg.Logger, timeout: l.cfg.Timeout,
		wake: make(chan struct{}, 1), loads: make(chan load), stored: make(chan outcome, 1),
		trees: newTrees(l.cfg.CacheKeys), parked: map[events.Namespace][]*posting{},
	}
	a.stop, a.close = context.WithCancel(context.Background())
	return a
}

// enqueue returns false if too many wait, or the log is closed.
func (a *appender) enqueue(p *posting) bool {
	if a.pending.Add(1) > int64(a.log.cfg.MaxWaiting) {
		a.pending.Add(-1)
		return false
	}
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		a.pending.Add(-1)
		return false
	}
	a.queue = append(a.queue, p)
	a.mu.Unlock()
	a.signal()
	return true
}

func (a *appender) signal() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// requeue puts postings that were taken back to where they came from.
func (a *appender) requeue(ps []*posting) {
	if len(ps) == 0 {
		return
	}
	for _, p := range ps {
		p.state.Store(waiting)
	}
	a.mu.Lock()
	a.queue = append(ps[:len(ps):len(ps)], a.queue...)
	a.mu.Unlock()
	a.signal()
}

// take takes up to n postings whose callers still wait.
func (a *appender) take(n int) []*posting {
	a.mu.Lock()
	defer a.mu.Unlock()
	n = min(len(a.queue), n)
	taking := make([]*posting, 0, n)
	for _, p := range a.queue[:n] {
		if p.state.CompareAndSwap(waiting, taken) {
			taking = append(taking, p)
		}
	}
	if a.queue = a.queue[n:]; len(a.queue) > 0 {
		a.signal()
	}
	return taking
}

func (a *appender) reply(p *posting, ans answer) {
	a.pending.Add(-1)
	p.answers <- ans
}

func (a *appender) fail(ps []*posting, err error) {
	for _, p := range ps {
		a.reply(p, answer{err: err})
	}
}

// run appends until the log is closed.
func (a *appender) run() {
	defer a.end()
	for {
		// A load is brought up to date over the connection: between two batches, before the next one is sent.
		loads, wake := a.loads, a.wake
		if a.storing != nil {
			loads = nil
		}
		if a.next.room() == 0 {
			wake = nil
		}
		select {
		case <-a.stop.Done():
			return
		case l := <-loads:
			a.adopt(l)
		case o := <-a.stored:
			a.finish(o)
			select {
			case l := <-a.loads:
				a.adopt(l)
			default:
			}
		case <-wake:
			a.process(a.take(a.next.room()))
		}
		a.send()
	}
}

// end answers all that still wait.
func (a *appender) end() {
	if a.storing != nil {
		a.finish(<-a.stored)
	}
	a.void()
	a.mu.Lock()
	left := a.queue
	a.queue, a.closed = nil, true
	a.mu.Unlock()
	for _, ps := range a.parked {
		left = append(left, ps...)
	}
	for _, p := range left {
		if p.state.CompareAndSwap(waiting, taken) {
			a.reply(p, answer{err: ErrBusy})
		}
	}
	a.loading.Wait()
	a.disconnect()
}

// process decides what was taken, as far as the trees are at hand.
func (a *appender) process(ps []*posting) {
	if a.storing == nil {
		if err := a.connected(); err != nil {
			for len(ps) > 0 { // finding out took as long as anyone should wait
				a.fail(ps, unavailable(err))
				ps = a.take(maxBatch)
			}
			return
		}
	}
	ready := a.park(ps)
	switch {
	case len(ready) == 0:
	case a.contended:
		a.appendLocked(ready)
		a.trees.shrink(nil)
	default:
		a.decideNext(ready)
	}
}

// connected makes sure of a connection that answers, and of knowing the head.
func (a *appender) connected() error {
	ctx, cancel := context.WithTimeout(context.Background(), a.timeout)
	defer cancel()
	if a.conn != nil && time.Since(a.used) > maxUnchecked && a.conn.Ping(ctx) != nil {
		a.disconnect() // it broke while idle: better found out before a batch is sent, whose outcome would be unknown
	}
	if a.conn != nil && !a.conn.IsClosed() {
		return nil
	}
	a.disconnect()
	conn, err := a.log.connect(ctx)
	if err != nil {
		return err
	}
	a.conn = conn
	for name, sql := range statements {
		if _, err := conn.Prepare(ctx, name, sql); err != nil {
			a.disconnect()
			return err
		}
	}
	hinted, err := wantHints(ctx, conn)
	if err != nil {
		a.disconnect()
		return err
	}
	a.log.feed.hinted.Store(hinted)
	a.log.feed.writer.Store(conn.PgConn().PID())
	if a.head, err = scanHead(conn.QueryRow(ctx, selectHead)); err != nil {
		a.disconnect()
		return err
	}
	a.used = time.Now()
	return nil
}

// disconnect drops the connection and everything that was read over it.
func (a *appender) disconnect() {
	a.log.feed.writer.Store(0)
	a.log.feed.hinted.Store(false)
	if a.conn != nil {
		disconnect(a.conn)
	}
	a.conn = nil
	a.forget()
}

// forget drops the trees, so that they are loaded again, and what was decided on them.
func (a *appender) forget() {
	a.void()
	a.session++
	a.trees.clear()
	a.contended = false
}

// park returns the postings whose trees are at hand, and has the other trees loaded.
func (a *appender) park(batch []*posting) []*posting {
	ready := batch[:0]
	for _, p := range batch {
		root := p.Namespace.Root()
		if a.trees.has(root) {
			ready = append(ready, p)
			continue
		}
		p.state.Store(waiting)
		if a.parked[root] = append(a.parked[root], p); len(a.parked[root]) == 1 {
			a.loading.Go(a.loader(root))
		}
	}
	return ready
}

// loader returns a function that loads root as of the present head and hands it over.
func (a *appender) loader(root events.Namespace) func() {
	l := load{root: root, session: a.session, at: a.head.Position}
	return func() {
		l.tree, l.err = a.log.load(a.stop, root, l.at)
		select {
		case a.loads <- l:
		case <-a.stop.Done():
		}
	}
}

// adopt brings a loaded tree up to the head and processes the postings that wait for it.
func (a *appender) adopt(l load) {
	parked := a.parked[l.root]
	delete(a.parked, l.root)
	batch := parked[:0]
	for _, p := range parked {
		if p.state.CompareAndSwap(waiting, taken) {
			batch = append(batch, p)
		}
	}
	switch {
	case l.err != nil:
		a.fail(batch, l.err)
		return
	case l.session == a.session:
		tree, err := a.bringUp(l)
		if err != nil {
			a.broken(batch, nil, err, judgeRead(err))
			return
		}
		a.trees.put(l.root, tree)
	}
	room := min(a.next.room(), len(batch))
	a.requeue(batch[room:])
	a.process(batch[:room])
}

// bringUp returns l's tree as of the head.
func (a *appender) bringUp(l load) (config.Tree, error) {
	if l.at == a.head.Position {
		return l.tree, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), a.timeout)
	defer cancel()
	rows, err := a.conn.Query(ctx, "since", l.root, l.at, a.head.Position)
	if err != nil {
		return config.Tree{}, err
	}
	return fold(l.tree, rows)
}
