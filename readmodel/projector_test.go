package readmodel_test

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

const ns = events.Namespace("payments.prod")

// projector is as much of the real one as a reader sees: it keeps the view of one namespace in a Redis.
type projector struct {
	t       testing.TB
	rdb     *redis.Client
	epoch   string
	head    view.Head
	entries map[events.Key]view.Entry
	prev    events.Position // of the stream's last entry
}

func newProjector(t testing.TB, rdb *redis.Client) *projector {
	return &projector{t: t, rdb: rdb, epoch: "epoch-1", entries: map[events.Key]view.Entry{}}
}

// set projects one change set: keys and their values in turn, an empty value takes the key away.
func (p *projector) set(pairs ...string) events.Position {
	p.t.Helper()
	p.atomically(func(tx redis.Pipeliner) { p.add(tx, pairs...) })
	p.beat(p.head.Position)
	return p.head.Position
}

// atomically writes what do adds in one step.
func (p *projector) atomically(do func(tx redis.Pipeliner)) {
	p.t.Helper()
	if _, err := p.rdb.TxPipelined(context.Background(), func(tx redis.Pipeliner) error { do(tx); return nil }); err != nil {
		p.t.Fatal(err)
	}
}

// add is set as part of a step, without a heartbeat.
func (p *projector) add(tx redis.Pipeliner, pairs ...string) {
	p.t.Helper()
	p.head.Position++
	p.head.Revision++
	cs := view.ChangeSet{
		Epoch: p.epoch, Term: 1, Namespace: ns, Position: p.head.Position, Prev: p.prev, Revision: p.head.Revision,
		Origin: ns, OriginRevision: p.head.Revision, Actor: "ada", Reason: "because", Time: time.Now(),
	}
	for pair := range slices.Chunk(pairs, 2) {
		key := events.Key(pair[0])
		if pair[1] == "" {
			delete(p.entries, key)
			tx.HDel(context.Background(), view.ValuesKey(ns), pair[0])
			cs.Changes = append(cs.Changes, view.Change{Key: key})
			continue
		}
		e := view.Entry{
			Value: events.Value(pair[1]), Kind: events.JSON, Revision: cs.Revision, Position: cs.Position, From: string(ns),
		}
		p.entries[key] = e
		tx.HSet(context.Background(), view.ValuesKey(ns), pair[0], view.EncodeEntry(e))
		cs.Changes = append(cs.Changes, view.Change{Key: key, Entry: &e})
	}
	p.writeHead(tx)
	p.append(tx, cs)
}

func (p *projector) writeHead(tx redis.Pipeliner) {
	tx.HSet(context.Background(), view.HeadKey(ns), "epoch", p.epoch, "term", 1, "position", int64(p.head.Position),
		"revision", int64(p.head.Revision), "keys", len(p.entries), "updated_at", time.Now().UTC().Format(time.RFC3339Nano))
}

func (p *projector) append(tx redis.Pipeliner, cs view.ChangeSet) {
	fields, err := view.StreamFields(cs)
	if err != nil {
		p.t.Fatal(err)
	}
	tx.XAdd(context.Background(), &redis.XAddArgs{Stream: view.ChangesKey(ns), ID: view.StreamID(cs.Position), Values: fields})
	p.prev = cs.Position
}

// beat renews the heartbeat: everything up to pos is in the views.
func (p *projector) beat(pos events.Position) {
	p.t.Helper()
	err := p.rdb.HSet(context.Background(), view.ProjectorKey, "epoch", p.epoch, "term", 1, "position", int64(pos),
		"head", int64(pos), "updated_at", time.Now().UTC().Format(time.RFC3339Nano)).Err()
	if err != nil {
		p.t.Fatal(err)
	}
}

// rebuild puts the whole view in place anew, as after a loss: in one step, with a stream that says so.
func (p *projector) rebuild() {
	p.t.Helper()
	p.atomically(func(tx redis.Pipeliner) {
		tx.Del(context.Background(), view.ValuesKey(ns), view.HeadKey(ns), view.ChangesKey(ns))
		for key, e := range p.entries {
			tx.HSet(context.Background(), view.ValuesKey(ns), string(key), view.EncodeEntry(e))
		}
		p.writeHead(tx)
		p.append(tx, view.ChangeSet{
			Epoch: p.epoch, Term: 1, Namespace: ns, Position: p.head.Position, Revision: p.head.Revision, Origin: ns,
			Time: time.Now(), Rebuilt: true,
		})
	})
	p.beat(p.head.Position)
}

// at returns a projector with the state of now, to put an old view in place later.
func (p *projector) at() *projector {
	old := *p
	old.entries = maps.Clone(p.entries)
	return &old
}
