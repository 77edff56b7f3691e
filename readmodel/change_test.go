package readmodel_test

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"log/slog"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel"
)

// recorder keeps the changes it was told.
type recorder struct {
	mu      sync.Mutex
	changes []readmodel.Changed
}

func (r *recorder) add(c readmodel.Changed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes = append(r.changes, c)
}

func (r *recorder) all() []readmodel.Changed {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changes
}

func (r *recorder) position() events.Position {
	if all := r.all(); len(all) > 0 {
		return all[len(all)-1].Position
	}
	return 1
}

// wantChain checks that each old value is the new one of the change before, and that the last are the projected ones.
func (r *recorder) wantChain(t *testing.T, values map[string]string, p *projector) {
	t.Helper()
	text := func(e *readmodel.Entry) string {
		if e == nil {
			return ""
		}
		return string(e.Value)
	}
	for _, c := range r.all() {
		for _, ch := range c.Changes {
			key := string(ch.Key)
			if text(ch.Old) != values[key] {
				t.Errorf("at %d: %s was %q, told %q", c.Position, key, values[key], text(ch.Old))
			}
			values[key] = text(ch.New)
			if ch.New == nil {
				delete(values, key)
			}
		}
	}
	want := map[string]string{}
	for key, e := range p.entries {
		want[string(key)] = string(e.Value)
	}
	if diff := cmp.Diff(want, values); diff != "" {
		t.Errorf("told values (-want +got):\n%s", diff)
	}
}

func TestOnChange(t *testing.T) {
	t.Parallel()
	p, r := start(t)
	got := &recorder{}
	stop := r.OnChange(got.add)
	p.set("a", "2", "b", "3")
	p.set("a", "")
	testenv.Eventually(t, "two changes", func() bool { return len(got.all()) == 2 })
	stop()
	stop()
	waitFor(t, r, p.set("a", "4"))

	one, two := got.all()[0], got.all()[1]
	old := &readmodel.Entry{Value: "1", Kind: events.JSON, Revision: 1, Position: 1, From: string(ns)}
	want := readmodel.Changed{
		Namespace: ns, Epoch: "epoch-1", Position: 2, Revision: 2, Origin: ns, OriginRevision: 2, Actor: "ada", Reason: "because",
		Changes: []readmodel.ChangedKey{
			{Key: "a", Old: old, New: &readmodel.Entry{Value: "2", Kind: events.JSON, Revision: 2, Position: 2, From: string(ns)}},
			{Key: "b", New: &readmodel.Entry{Value: "3", Kind: events.JSON, Revision: 2, Position: 2, From: string(ns)}},
		},
	}
	if time.Since(one.Time) > time.Minute {
		t.Errorf("got time %s", one.Time)
	}
	one.Time = time.Time{}
	if diff := cmp.Diff(want, one); diff != "" {
		t.Errorf("first change (-want +got):\n%s", diff)
	}
	if two.Position != 3 || len(two.Changes) != 1 || two.Changes[0].New != nil || two.Changes[0].Old.Value != "2" {
		t.Errorf("got %+v", two)
	}
	if n := len(got.all()); n != 2 {
		t.Errorf("told %d changes, one of them after stop", n)
	}
}

// A listener that hangs delays neither the values nor another listener, and is told the whole difference afterwards.
func TestSlowListener(t *testing.T) {
	t.Parallel()
	p, r := start(t)
	slow, quick := &recorder{}, &recorder{}
	hang := make(chan struct{})
	defer r.OnChange(func(c readmodel.Changed) { <-hang; slow.add(c) })()
	defer r.OnChange(quick.add)()
	const n = 200
	for i := range n {
		p.set("a", strconv.Itoa(i), "b", strconv.Itoa(i))
	}
	waitFor(t, r, p.head.Position)
	testenv.Eventually(t, "the quick listener has all", func() bool { return quick.position() == p.head.Position })
	close(hang)
	testenv.Eventually(t, "the slow listener has all", func() bool { return slow.position() == p.head.Position })

	slow.wantChain(t, map[string]string{"a": "1"}, p)
	quick.wantChain(t, map[string]string{"a": "1"}, p)
	if got := len(slow.all()); got > 66 {
		t.Errorf("%d changes were kept for the slow listener", got)
	}
	merged := 0
	for _, c := range slow.all() {
		if c.Resynced {
			merged++
			if c.Actor != "" || c.Origin != "" || !c.Time.IsZero() {
				t.Errorf("a merged change has one actor: %+v", c)
			}
		}
	}
	if merged == 0 {
		t.Error("nothing was merged")
	}
}

func TestListenerPanics(t *testing.T) {
	t.Parallel()
	url, rdb := testenv.Redis(t)
	p := newProjector(t, rdb)
	p.set("a", "1")
	var log lines
	r := openLogged(t, url, slog.New(slog.NewTextHandler(&log, nil)))
	got := &recorder{}
	defer r.OnChange(func(c readmodel.Changed) {
		got.add(c)
		panic("bad value " + strings.Repeat("hunter2", 1))
	})()
	p.set("a", "2")
	p.set("a", "3")
	testenv.Eventually(t, "both changes", func() bool { return len(got.all()) == 2 })
	testenv.Eventually(t, "both panics logged", func() bool { return log.count("listener panicked") == 2 })
	if log.count("hunter2") != 0 {
		t.Error("the text of the panic was logged")
	}
}

func TestListenerMayCloseReader(t *testing.T) {
	t.Parallel()
	p, r := start(t)
	closed := make(chan error, 1)
	r.OnChange(func(readmodel.Changed) { closed <- r.Close() })
	p.set("a", "2")
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("Close waits for the listener that called it")
	}
}
