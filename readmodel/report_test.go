package readmodel_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// instances lists those that report in the projector's Redis.
func (p *projector) instances() []view.Instance {
	all, err := view.ListInstances(context.Background(), p.rdb, ns)
	if err != nil {
		p.t.Fatal(err)
	}
	return all
}

func TestReaderReportsItself(t *testing.T) {
	t.Parallel()
	url, rdb := testenv.Redis(t)
	p := newProjector(t, rdb)
	p.set("a", "1")
	r, err := readmodel.Open(soon(t), string(ns), readmodel.Config{
		Redis: url, App: "shop", Instance: "shop-1", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	testenv.Eventually(t, "the instance is listed", func() bool { return len(p.instances()) == 1 })
	in := p.instances()[0]
	if in.App != "shop" || in.Instance != "shop-1" || in.Host == "" || in.Epoch != p.epoch || in.Position != 1 || in.Source != "redis" ||
		in.State != string(readmodel.Live) || in.AgeMs != 0 || in.Rejected != nil || in.Gone {
		t.Errorf("got %+v", in)
	}
	defer r.Prepare(func(context.Context, readmodel.Change) error { return errors.New("pool is too small") })()
	p.set("a", "2")
	testenv.Eventually(t, "the instance says what it rejects", func() bool {
		p.beat(2)
		in := p.instances()[0]
		return in.Position == 1 && in.Rejected != nil && *in.Rejected == view.Rejected{Position: 2, Why: "pool is too small"}
	})
}

// A Redis that lets nobody but the projector write is read all the same, and the log says once that there are no reports.
func TestReportsAreNotInTheWay(t *testing.T) {
	t.Parallel()
	var log lines
	server := testenv.RedisServer(t)
	p := newProjector(t, client(t, server.URL))
	p.set("a", "1")
	options, err := redis.ParseURL(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.rdb.ACLSetUser(t.Context(), "reader", "on", "nopass", "~*", "&*", "+@all", "-evalsha", "-eval", "-fcall").Err(); err != nil {
		t.Fatal(err)
	}
	r := openLogged(t, "redis://reader:x@"+options.Addr, slog.New(slog.NewTextHandler(&log, nil)))
	testenv.Eventually(t, "the log says so", func() bool { return log.count("can not report itself") == 1 })
	waitFor(t, r, p.set("a", "2"))
	wantEqual(t, r, p)
	if got := p.instances(); len(got) != 0 {
		t.Errorf("got %+v", got)
	}
}
