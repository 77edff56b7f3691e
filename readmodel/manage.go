package readmodel

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Managed is a component that is kept built from the newest configuration: a pool, a client, a rate limiter.
type Managed[C any] struct {
	reader *Reader
	build  func(context.Context, *Snapshot, C) (C, error)
	end    func(C)
	cfg    ManageConfig
	hook   *hook

	first  *use[C] // belongs to the snapshots that have no part of m's
	closed atomic.Bool
}

// ManageConfig configures a [Managed] component; its zero value works.
type ManageConfig struct {
	// Keys are those the component is built from: it is built anew when the value of one of them has changed. Default:
	// for every change of a value.
	Keys []Declared
	// Timeout is how long building may take. Default: [Config].PrepareTimeout.
	Timeout time.Duration
	// Grace is how long an old component may still be in use before it is closed all the same. Default: 1 minute.
	Grace time.Duration
	// Before is called before each building, but the first, by the same goroutine.
	Before func(Change)
	// After is called after each building, but the first: nil: what was built is in use; else why the change was vetoed,
	// by this component or something else. The next change waits for it, at most for Timeout.
	After func(Change, error)
}

const grace = time.Minute

// Manage builds a component from what r shows, and builds it anew for each change before that becomes visible, as
// [Reader.Prepare] has functions asked: what was said there of order, time-outs and vetoes holds here. If building
// fails the change is vetoed and the old component goes on with the old snapshot; else both switch in the same instant.
//
// build gets the newest snapshot and the component in use (at first the zero C), to take over from it what is costly to
// make. It must leave that fit for use: it goes on if this or another building fails. It may return it unchanged: then
// it stays, and is not closed.
//
// end closes a component that is not in use any more: an old one when the last who uses it has released it, or after a
// grace time; one that was built in vain, at once. It may be nil.
//
// Manage returns the error of the first building. It must not be called from a function that prepares a change.
func Manage[C any](r *Reader, build func(ctx context.Context, s *Snapshot, old C) (C, error), end func(C), cfg ManageConfig) (*Managed[C], error) {
	if cfg.Timeout <= 0 {
		cfg.Timeout = r.cfg.PrepareTimeout
	}
	if cfg.Grace <= 0 {
		cfg.Grace = grace
	}
	cfg.Keys = slices.Clone(cfg.Keys)
	m := &Managed[C]{reader: r, build: build, end: end, cfg: cfg}
	m.hook = newHook(cfg.Timeout, m.prepare)
	r.trying.Lock() // what is shown does not change from here
	defer r.trying.Unlock()
	r.hook(m.hook)
	s := r.Snapshot()
	starting := newHook(cfg.Timeout, func(ctx context.Context, _ Change) (prepared, error) {
		var none C
		built, err := build(ctx, s, none)
		if err != nil {
			return prepared{}, err
		}
		u := m.using(built)
		return prepared{part: part{use: u}, finish: func(err error) {
			if err != nil {
				u.release()
			}
		}}, nil
	})
	p, err := starting.call(r.ctx, Change{After: s})
	if err != nil {
		r.unhook(m.hook)
		return nil, fmt.Errorf("build from %s at %d: %w", r.namespace, s.Position(), err)
	}
	m.first = p.part.use.(*use[C])
	return m, nil
}

// Use returns the component, and what releases it: call it when the work is done, once or more often. Until then the
// component is not closed, within the grace time.
func (m *Managed[C]) Use() (C, func()) {
	_, c, release := m.UseBoth()
	return c, release
}

// UseBoth is Use that also returns the snapshot that the component belongs to.
func (m *Managed[C]) UseBoth() (*Snapshot, C, func()) {
	for {
		s := m.reader.Snapshot()
		u := m.at(s)
		if u.acquire() {
			return s, u.component, sync.OnceFunc(u.release)
		}
		if m.closed.Load() {
			return s, u.component, func() {}
		}
		// It was retired since: there is a newer snapshot.
	}
}

// Close ends the managing, and closes the component as an old one is; it returns when that is done. Changes are not
// held up by it any more. What Use returns afterwards is closed. Close must not be called from a function that prepares
// a change.
func (m *Managed[C]) Close() {
	if m.closed.Swap(true) {
		return
	}
	m.reader.unhook(m.hook)
	m.reader.trying.Lock() // a change that is on its way switches before, or is not this component's
	u := m.at(m.reader.Snapshot())
	m.reader.trying.Unlock()
	u.retire(m.cfg.Grace)
	<-u.ended
}

func (m *Managed[C]) gone() bool { return m.closed.Load() }

// at returns the component that belongs to s.
func (m *Managed[C]) at(s *Snapshot) *use[C] {
	for _, p := range s.parts {
		if p.owner == m {
			return p.use.(*use[C])
		}
	}
	return m.first
}

// prepare is the hook of m.
func (m *Managed[C]) prepare(ctx context.Context, c Change) (prepared, error) {
	if !m.concerns(c) {
		return prepared{}, nil
	}
	if m.cfg.Before != nil {
		m.cfg.Before(c)
	}
	old := m.at(c.Before)
	built, err := m.build(ctx, c.After, old.component)
	if err != nil {
		m.after(c, err)
		return prepared{}, err
	}
	next := old
	if !same(built, old.component) {
		next = m.using(built)
	}
	return prepared{
		part: part{owner: m, use: next},
		finish: func(err error) {
			switch {
			case next == old:
			case err != nil:
				next.release()
			default:
				old.retire(m.cfg.Grace)
			}
			m.after(c, err)
		},
	}, nil
}

// concerns says that one of the keys has another value, from wherever.
func (m *Managed[C]) concerns(c Change) bool {
	return len(m.cfg.Keys) == 0 || slices.ContainsFunc(c.Changes, func(ch ChangedKey) bool {
		return ch.otherValue() && slices.ContainsFunc(m.cfg.Keys, func(d Declared) bool { return d.Name() == string(ch.Key) })
	})
}

// after calls the hook, and waits for it within the time-out.
func (m *Managed[C]) after(c Change, err error) {
	if m.cfg.After == nil {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer recovered(m.reader.log, "hook after a reload")
		m.cfg.After(c, err)
	}()
	select {
	case <-done:
	case <-time.After(m.cfg.Timeout):
		m.reader.log.Warn("hook after a reload does not return", "namespace", m.reader.namespace, "position", c.Position)
	case <-m.reader.ctx.Done():
	}
}

func recovered(log *slog.Logger, what string) {
	if v := recover(); v != nil {
		log.Error(what+" panicked", "error", panicked(v))
	}
}

// same says that a build has returned the component that it was handed.
func same[C any](a, b C) bool {
	v, w := reflect.ValueOf(&a).Elem(), reflect.ValueOf(&b).Elem()
	return v.Comparable() && w.Comparable() && v.Equal(w)
}

// part is a component that belongs to a snapshot.
type part struct {
	owner interface{ gone() bool } // the *Managed[C]
	use   any                      // *use[C]
}

// partsAfter returns the parts of the snapshot after one with the parts before.
func partsAfter(before []part, done []prepared) []part {
	after := slices.DeleteFunc(slices.Clone(before), func(p part) bool { return p.owner.gone() })
	for _, p := range done {
		if p.part.owner == nil {
			continue
		}
		after = append(slices.DeleteFunc(after, func(q part) bool { return q.owner == p.part.owner }), p.part)
	}
	return after
}

// use is a component and how many use it.
type use[C any] struct {
	component C
	users     atomic.Int64 // and one more as long as it is the newest
	close     func()       // once
	ended     chan struct{}
}

func (m *Managed[C]) using(component C) *use[C] {
	u := &use[C]{component: component, ended: make(chan struct{})}
	u.users.Store(1)
	u.close = sync.OnceFunc(func() {
		go func() { // it may take its time, and whoever let go last has other things to do
			defer close(u.ended)
			defer recovered(m.reader.log, "closing a component")
			if m.end != nil {
				m.end(component)
			}
		}()
	})
	return u
}

// acquire fails if nobody uses the component any more, and it is closed or about to be.
func (u *use[C]) acquire() bool {
	for {
		n := u.users.Load()
		if n == 0 {
			return false
		}
		if u.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (u *use[C]) release() {
	if u.users.Add(-1) == 0 {
		u.close()
	}
}

// retire takes away that it is the newest, and lets those who use it go on for the grace time.
func (u *use[C]) retire(grace time.Duration) {
	time.AfterFunc(grace, u.close)
	u.release()
}
