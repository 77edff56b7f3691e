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

// chain keeps a reader following, whichever of its sources are down. The first source is always tried. Each other runs
// only while none before it is live, and ends when one is: until then both deliver, and what comes second is skipped, so
// that to change the source loses nothing, repeats nothing and never goes back.
type chain struct {
	reader *Reader
	links  []*link

	mu      sync.Mutex // one source at a time delivers; guards the links' state
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

func newChain(r *Reader, sources ...Source) *chain {
	c := &chain{reader: r, changed: make(chan struct{})}
	for n, s := range sources {
		c.links = append(c.links, &link{chain: c, n: n, source: s, asked: make(chan struct{}, 1)})
	}
	return c
}

// run returns when ctx ends and no source runs any more.
func (c *chain) run(ctx context.Context) {
	var running sync.WaitGroup
	for _, l := range c.links {
		running.Go(func() { l.run(ctx) })
	}
	for {
		select {
		case <-c.reader.asked:
			for _, l := range c.links {
				select {
				case l.asked <- struct{}{}:
				default:
				}
			}
		case <-ctx.Done():
			running.Wait()
			return
		}
	}
}

func (c *chain) close() error {
	var errs []error
	for _, l := range c.links {
		errs = append(errs, l.source.Close())
	}
	return errors.Join(errs...)
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
	c.mu.Unlock()
	err := l.source.Follow(ctx, c.reader.namespace, c.reader.have(), l)
	if err == nil {
		err = fmt.Errorf("%s has stopped to follow", l.source.Name())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l.end = nil
	worked, needed = l.live, !c.liveBefore(l.n)
	if !needed || c.reader.ctx.Err() != nil {
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
		c.reader.doubt(err, tried)
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
	if c.reader.delivered().Epoch() != head.Epoch {
		for _, other := range c.links {
			if other != l && other.live {
				return false
			}
		}
	}
	return sink{c.reader}.Load(head, entries)
}

func (l *link) Apply(cs view.ChangeSet) bool {
	l.chain.mu.Lock()
	defer l.chain.mu.Unlock()
	return sink{l.chain.reader}.Apply(cs)
}

func (l *link) Confirm(position, head events.Position) {
	c := l.chain
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reader.ctx.Err() != nil || c.reader.have().Epoch == "" {
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
	state, quiet := Live, quietOf(l.source)
	if l.n > 0 {
		state = Log
	}
	l.expect(quiet)
	c.reader.via(l.source, state, quiet)
	sink{c.reader}.Confirm(position, head)
}

// expect makes the source doubtful when it has not confirmed again within quiet. Called with c.mu held.
func (l *link) expect(quiet time.Duration) {
	if l.silent != nil {
		l.silent.Reset(quiet)
		return
	}
	l.silent = time.AfterFunc(quiet, func() {
		l.chain.mu.Lock()
		defer l.chain.mu.Unlock()
		if l.live {
			l.down(fmt.Errorf("%s: %w for %s", l.source.Name(), errSilent, quiet))
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
