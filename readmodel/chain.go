package readmodel

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// chain keeps readers following, whichever of their sources are down. The first source is always tried. Each other runs
// only while none before it is live, and ends when one is: until then both deliver, and what comes second is skipped, so
// that to change the source loses nothing, repeats nothing and never goes back.
type chain struct {
	links   []*link
	asked   chan struct{}   // see Sink.Asked
	ctx     context.Context // ends when the last reader leaves
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex // one source at a time delivers; guards what is below and the links' state
	feed    feed
	changed chan struct{}
}

// link is a source in a chain, and the sink that it delivers to.
type link struct {
	chain  *chain
	n      int // its place in the chain
	source Source
	asked  chan struct{}
	on     bool // the source has been needed for a while; run's own

	live    bool // confirms what it delivers
	trouble error
	end     context.CancelFunc // of the session that runs; nil: none does
	silent  *time.Timer        // fires when a live source has said nothing for too long
}

// A source that takes over waits a moment, since the one before it may be back at once; not all readers that lost their
// Redis ask the next source together.
const (
	minTakeOver = 100 * time.Millisecond
	maxTakeOver = 500 * time.Millisecond
)

func newChain(ns events.Namespace, sources ...Source) *chain {
	c := &chain{asked: make(chan struct{}, 1), feed: newFeed(ns, sources[0]), changed: make(chan struct{})}
	for n, s := range sources {
		c.links = append(c.links, &link{chain: c, n: n, source: s, asked: make(chan struct{}, 1)})
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// join has r fed as well. It fails with [ErrClosed] when the last of the chain's readers has left.
func (c *chain) join(r *Reader) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return ErrClosed
	}
	r.chain = c
	c.feed.join(r)
	return nil
}

// leave ends what join began. The last who leaves closes the sources, and waits until none runs any more.
func (c *chain) leave(r *Reader) error {
	c.mu.Lock()
	delete(c.feed.readers, r)
	last := len(c.feed.readers) == 0
	if last {
		c.cancel()
	}
	c.mu.Unlock()
	if !last {
		return nil
	}
	var errs []error
	for _, l := range c.links {
		errs = append(errs, l.source.Close())
	}
	c.running.Wait()
	return errors.Join(errs...)
}

// start starts the sources. They run until the last reader leaves.
func (c *chain) start() {
	for _, l := range c.links {
		c.running.Go(func() { l.run(c.ctx) })
	}
	c.running.Go(c.ask)
}

// ask passes on to all sources that somebody waits.
func (c *chain) ask() {
	for {
		select {
		case <-c.asked:
			for _, l := range c.links {
				select {
				case l.asked <- struct{}{}:
				default:
				}
			}
		case <-c.ctx.Done():
			return
		}
	}
}

// run keeps the source following for as long as it is needed.
func (l *link) run(ctx context.Context) {
	for tries := 0; l.await(ctx); tries++ {
		session, end := context.WithCancel(ctx)
		began := time.Now()
		worked, needed := l.session(session, end)
		end()
		switch {
		case !needed:
			tries = -1
			continue
		case worked || time.Since(began) > maxPause:
			tries = 0
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause(tries)):
		}
	}
}

// await returns true when the source is needed, false when ctx ends.
func (l *link) await(ctx context.Context) bool {
	for ctx.Err() == nil {
		l.chain.mu.Lock()
		needed, changed := !l.chain.liveBefore(l.n), l.chain.changed
		l.chain.mu.Unlock()
		if needed && (l.on || l.n == 0) {
			return true
		}
		l.on = false
		var due <-chan time.Time
		if needed {
			due = time.After(minTakeOver + rand.N(maxTakeOver-minTakeOver))
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-due:
			l.on = true
		}
	}
	return false
}

// session runs the source once. Worked: it was live to the end; needed: no source before it is live now.
func (l *link) session(ctx context.Context, end context.CancelFunc) (worked, needed bool) {
	c := l.chain
	c.mu.Lock()
	if c.liveBefore(l.n) {
		end()
	}
	l.end = end
	ns, have := c.feed.namespace, c.feed.have()
	c.mu.Unlock()
	err := l.source.Follow(ctx, ns, have, l)
	if err == nil {
		err = fmt.Errorf("%s has stopped to follow", l.source.Name())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l.end = nil
	worked, needed = l.live, !c.liveBefore(l.n)
	if !needed || c.ctx.Err() != nil {
		err = nil
	}
	l.down(err)
	return worked, needed
}

// liveBefore says whether a source before the nth is live. Called with c.mu held.
func (c *chain) liveBefore(n int) bool {
	for _, l := range c.links[:n] {
		if l.live {
			return true
		}
	}
	return false
}

// down notes that the source can not confirm what is shown; why is nil if it need not. Called with c.mu held.
func (l *link) down(why error) {
	c := l.chain
	if l.silent != nil {
		l.silent.Stop()
	}
	if l.live {
		l.live = false
		c.wake()
	}
	l.trouble = why
	if why != nil && !c.liveBefore(len(c.links)) {
		err, tried := c.troubles()
		c.feed.doubt(err, tried)
	}
}

func (c *chain) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// troubles joins what is wrong with each source; tried: there is something with each.
func (c *chain) troubles() (_ error, tried bool) {
	var all troubles
	for _, l := range c.links {
		if l.trouble != nil {
			all = append(all, l.trouble)
		}
	}
	if len(all) == 1 {
		return all[0], len(c.links) == 1
	}
	return all, len(all) == len(c.links)
}

// troubles are errors on one line.
type troubles []error

func (t troubles) Error() string {
	texts := make([]string, len(t))
	for i, err := range t {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (t troubles) Unwrap() []error { return t }

// Load refuses another history than the one that another source confirms at this moment: a Redis may hold one that is over.
func (l *link) Load(head view.Head, entries map[events.Key]Entry) bool {
	c := l.chain
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.feed.content.epoch != head.Epoch {
		for _, other := range c.links {
			if other != l && other.live {
				return false
			}
		}
	}
	return c.feed.load(head, entries)
}

func (l *link) Apply(cs view.ChangeSet) bool {
	l.chain.mu.Lock()
	defer l.chain.mu.Unlock()
	return l.chain.feed.apply(cs)
}

func (l *link) Confirm(position, head events.Position, at time.Time) {
	c := l.chain
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil || c.feed.have().Epoch == "" {
		return // there is nothing from a source yet that could be confirmed
	}
	if c.liveBefore(l.n) {
		return // it is about to end
	}
	l.trouble = nil
	if !l.live {
		l.live = true
		c.wake()
		for _, later := range c.links[l.n+1:] {
			if later.end != nil {
				later.end()
			}
		}
	}
	state := Live
	if l.n > 0 {
		state = Log
	}
	l.expect()
	c.feed.confirm(l.source, state, position, head, at)
}

// expect makes the source doubtful when it is silent for too long from now. Called with c.mu held.
func (l *link) expect() {
	if l.silent != nil {
		l.silent.Reset(silence)
		return
	}
	l.silent = time.AfterFunc(silence, func() {
		l.chain.mu.Lock()
		defer l.chain.mu.Unlock()
		if l.live {
			l.down(fmt.Errorf("%s: %w for %s", l.source.Name(), errSilent, silence))
		}
	})
}

func (l *link) Doubt(why error) {
	l.chain.mu.Lock()
	defer l.chain.mu.Unlock()
	l.down(why)
}

func (l *link) Asked() <-chan struct{} { return l.asked }

const (
	minPause = 50 * time.Millisecond
	maxPause = 2 * time.Second
)

// pause is how long to wait before trying again after some tries in vain: longer each time, and never the same for all
// of the readers that lost their Redis at one moment.
func pause(tries int) time.Duration {
	top := min(minPause<<min(tries, 10), maxPause)
	return top/2 + rand.N(top/2)
}
