package readmodel_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// start-up: what is up, what is on disk, and what the reader then is; "" means that it does not open.
func TestOpenMatrix(t *testing.T) {
	t.Parallel()
	for _, redis := range []string{"up", "down", "hung"} {
		for _, api := range []string{"up", "down", "none"} {
			for _, disk := range []string{"whole", "damaged", "foreign", "absent"} {
				for _, fresh := range []bool{false, true} {
					var want readmodel.State
					switch {
					case redis == "up":
						want = readmodel.Live
					case api == "up":
						want = readmodel.Log
					case disk == "whole" && !fresh:
						want = readmodel.Disk
					}
					t.Run(fmt.Sprintf("redis %s, api %s, disk %s, fresh %t", redis, api, disk, fresh), func(t *testing.T) {
						t.Parallel()
						openCase(t, redis, api, disk, readmodel.Config{RequireFresh: fresh}, want)
					})
				}
			}
		}
	}
	t.Run("nothing, defaults allowed", func(t *testing.T) {
		t.Parallel()
		openCase(t, "down", "down", "absent", readmodel.Config{AllowDefaults: true}, readmodel.Defaults)
	})
	t.Run("nothing, defaults allowed, must be fresh", func(t *testing.T) {
		t.Parallel()
		openCase(t, "hung", "down", "damaged", readmodel.Config{AllowDefaults: true, RequireFresh: true}, "")
	})
}

func openCase(t *testing.T, redis, api, disk string, cfg readmodel.Config, want readmodel.State) {
	var log lines
	cfg.Logger, cfg.Wait = slog.New(slog.NewTextHandler(&log, nil)), 10*time.Second
	if want == "" || want == readmodel.Disk || want == readmodel.Defaults {
		cfg.Wait = 2 * time.Second // several times what it takes to notice that a source hangs
	}
	cfg.SnapshotDir = writeDisk(t, disk)
	cfg.Redis = redisThatIs(t, redis)
	switch api {
	case "up":
		l := newLogged(t)
		l.set("a", "1")
		cfg.API = l.URL
	case "down":
		cfg.API = "http://" + freeAddress(t)
	}
	r, err := readmodel.Open(t.Context(), string(ns), cfg)
	if want == "" {
		if err == nil {
			t.Fatalf("opened: %+v", r.Status())
		}
		if !strings.Contains(err.Error(), "redis at") || api == "down" && !strings.Contains(err.Error(), "api at") {
			t.Errorf("the error does not say what is wrong with each source: %v", err)
		}
	} else {
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if st := r.Status(); st.State != want || (st.Err == nil) != want.Fresh() {
			t.Errorf("got %s (%v), want %s", st.State, st.Err, want)
		}
		wantValue(t, r, "a", map[readmodel.State]string{readmodel.Live: "1", readmodel.Log: "1", readmodel.Disk: "0"}[want])
	}
	if (disk == "damaged" || disk == "foreign") != (log.count("snapshot on disk ignored") == 1) {
		t.Errorf("the log does not say what is wrong with the disk, or says something:\n%s", &log.text)
	}
}

func redisThatIs(t *testing.T, state string) string {
	switch state {
	case "down":
		return "redis://" + freeAddress(t)
	case "hung":
		url, _ := testenv.Redis(t)
		network := testenv.Proxy(t, url)
		network.Hang()
		return network.URL
	}
	url, rdb := testenv.Redis(t)
	newProjector(t, rdb).set("a", "1")
	return url
}

// writeDisk returns a folder in which a former reader has left a=0, at position 1.
func writeDisk(t *testing.T, state string) string {
	t.Helper()
	dir := t.TempDir()
	if state == "absent" {
		return dir
	}
	l := newLogged(t)
	l.set("a", "0")
	r, err := readmodel.Open(soon(t), string(ns), readmodel.Config{API: l.URL, SnapshotDir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	path := filepath.Join(dir, string(ns)+".snapshot")
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	switch state {
	case "damaged":
		file = file[:len(file)-7]
	case "foreign":
		file = []byte("\x7fELF\n" + string(file))
	}
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// What is on disk is served until a source answers, and never gone behind.
func TestDiskThenSources(t *testing.T) {
	t.Parallel()
	dir := writeDisk(t, "whole")
	server := testenv.RedisServer(t)
	p := newProjector(t, client(t, server.URL))
	p.set("a", "1")
	p.set("a", "2")
	server.Stop()
	r, err := readmodel.Open(soon(t), string(ns), readmodel.Config{
		Redis: server.URL, SnapshotDir: dir, Wait: 50 * time.Millisecond, MaxStale: time.Hour, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	wantValue(t, r, "a", "0")
	if st := r.Status(); st.State != readmodel.Disk || st.LastContact.IsZero() || st.Age <= 0 || st.Age > time.Minute {
		t.Errorf("status %+v", st)
	}
	if err := r.Health(); err != nil {
		t.Error(err)
	}
	got := &recorder{}
	defer r.OnChange(got.add)()
	server.Continue()
	wantEqual(t, r, p)
	testenv.Eventually(t, "listeners were told", func() bool { return got.position() == 2 })
	if st := r.Status(); st.State != readmodel.Live || st.Resyncs != 0 {
		t.Errorf("status %+v", st)
	}
}

func TestOpenIsBounded(t *testing.T) {
	t.Parallel()
	began := time.Now()
	_, err := readmodel.Open(t.Context(), string(ns), readmodel.Config{
		Redis: redisThatIs(t, "hung"), Wait: 200 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) && !strings.Contains(err.Error(), "deadline") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("took %s", took)
	}
}

// fromLog delivers one view as of a position at which it may not have changed, as a source that reads the log does.
type fromLog struct {
	head    view.Head
	entries map[events.Key]view.Entry
}

func (fromLog) Name() string { return "log" }
func (fromLog) Close() error { return nil }

func (s fromLog) Follow(ctx context.Context, _ events.Namespace, _ view.Head, sink readmodel.Sink) error {
	if sink.Load(s.head, s.entries) {
		sink.Confirm(s.head.Position, s.head.Position, time.Now())
	}
	<-ctx.Done()
	return ctx.Err()
}

// A snapshot on disk that is from the log is ahead of a view that did not change since, and gives way to it. It does not to
// a view that is another, whatever the projector says that it has done: a failover may have taken steps of a view back.
func TestDiskAheadOfTheView(t *testing.T) {
	for name, tt := range map[string]struct {
		kept     string          // value of a on disk
		revision events.Revision // on disk, more than that of the view
		hide     string          // a key that is sensitive, and so not on disk
		lose     string          // a key that is on disk, and not in the view
		want     readmodel.State
	}{
		"same":                   {kept: "1", want: readmodel.Live},
		"same but sensitive":     {kept: "1", hide: "b", want: readmodel.Live},
		"another value":          {kept: "2", want: readmodel.Disk},
		"another revision":       {kept: "1", revision: 1, want: readmodel.Disk},
		"a key more":             {kept: "1", lose: "b", want: readmodel.Disk},
		"a key more, one hidden": {kept: "1", hide: "b", lose: "b", want: readmodel.Disk},
	} {
		t.Run(name, func(t *testing.T) {
			url, rdb := testenv.Redis(t)
			p := newProjector(t, rdb)
			p.set("a", "1", "b", "1")
			if tt.hide != "" {
				hidden := p.entries[events.Key(tt.hide)]
				hidden.Sensitive = true
				p.entries[events.Key(tt.hide)] = hidden
			}
			head, entries := p.head, maps.Clone(p.entries)
			head.Epoch, head.Position, head.Revision = p.epoch, p.head.Position+3, p.head.Revision+tt.revision
			a := entries["a"]
			a.Value = events.Value(tt.kept)
			entries["a"] = a
			delete(p.entries, events.Key(tt.lose))
			p.rebuild()
			cfg := readmodel.Config{SnapshotDir: t.TempDir(), Source: fromLog{head, entries}, Logger: slog.New(slog.DiscardHandler)}
			r, err := readmodel.Open(soon(t), string(ns), cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			p.beat(head.Position)
			cfg.Source, cfg.Redis, cfg.Wait = nil, url, 10*time.Millisecond
			if r, err = readmodel.Open(soon(t), string(ns), cfg); err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			testenv.Eventually(t, "the reader has seen the view", func() bool {
				st := r.Status()
				return st.State == readmodel.Live || st.Err != nil && strings.Contains(st.Err.Error(), "behind the snapshot on disk")
			})
			if st := r.Status(); st.State != tt.want || st.Position != head.Position {
				t.Errorf("got %+v, want %s at %d", st, tt.want, head.Position)
			}
			wantValue(t, r, "a", tt.kept)
			p.head.Position = head.Position
			waitFor(t, r, p.set("a", "3"))
			wantValue(t, r, "a", "3")
		})
	}
}
