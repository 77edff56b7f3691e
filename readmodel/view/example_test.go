package view_test

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

func ExampleEncodeEntry() {
	text := view.EncodeEntry(view.Entry{Value: "20", Kind: events.Int, Revision: 12, Position: 345, From: "payments"})
	fmt.Println(string(text))
	e, err := view.DecodeEntry(text)
	fmt.Println(e.Value, e.From, err)
	// Output:
	// {"value":20,"kind":"int","revision":12,"position":345,"from":"payments"}
	// 20 payments <nil>
}

func ExampleLoad() {
	t, end := testenv.Example()
	defer end()
	_, rdb := testenv.Redis(t)
	ctx := context.Background()
	_, err := view.Load(ctx, rdb, "payments.prod", nil)
	fmt.Println(err)

	// What a projector writes in one step:
	rdb.HSet(ctx, view.ValuesKey("payments.prod"), "db.max_conns", view.EncodeEntry(view.Entry{Value: "20", Kind: events.Int}))
	rdb.HSet(ctx, view.HeadKey("payments.prod"), "epoch", "e", "term", 1, "position", 345, "revision", 12, "keys", 1,
		"updated_at", "2026-03-04T05:06:07Z")
	head, err := view.Load(ctx, rdb, "payments.prod", func(key events.Key, e view.Entry) error {
		fmt.Println(key, "is", e.Value)
		return nil
	})
	fmt.Println(head.Position, head.Keys, err)
	// Output:
	// load view of payments.prod: view is absent
	// db.max_conns is 20
	// 345 1 <nil>
}

// A change set as the stream carries it, and as a subscriber of watermill-redisstream gets it.
func ExampleParseMessage() {
	msg, err := view.Message(view.ChangeSet{
		Epoch: "e", Term: 1, Namespace: "payments.prod", Position: 345, Prev: 340, Revision: 12,
		Origin: "payments.prod", OriginRevision: 12, Actor: "ada", Reason: "more load", Time: time.Unix(1_772_600_000, 0),
		Changes: []view.Change{{Key: "db.max_conns", Entry: &view.Entry{Value: "20", Kind: events.Int}}, {Key: "name"}},
	})
	if err != nil {
		panic(err)
	}
	cs, err := view.ParseMessage(msg)
	if err != nil {
		panic(err)
	}
	fmt.Println(view.StreamID(cs.Position), "after", view.StreamID(cs.Prev), "by", cs.Actor)
	for _, c := range cs.Changes {
		fmt.Println(c.Key, c.Entry != nil)
	}
	// Output:
	// 345-0 after 340-0 by ada
	// db.max_conns true
	// name false
}

// A snapshot of a watch, written in parts.
func ExampleAppendSnapshotOpen() {
	text := view.AppendSnapshotOpen(nil, view.Snapshot{Epoch: "e", Namespace: "payments.prod", Position: 345, Revision: 12})
	text = view.AppendSnapshotEntry(text, 0, "db.max_conns", view.Entry{Value: "20", Kind: events.Int})
	text = view.AppendSnapshotEntry(text, 1, "debug", view.Entry{Value: "true", Kind: events.Bool})
	text = append(text, view.SnapshotEnd...)
	s, err := view.ParseSnapshot(text)
	fmt.Println(s.Position, len(s.Values), s.Values["debug"].Value, err)
	// Output: 345 2 true <nil>
}

func ExampleListInstances() {
	t, end := testenv.Example()
	defer end()
	_, rdb := testenv.Redis(t)
	ctx := context.Background()
	in := view.Instance{App: "shop", Instance: "shop-1", Position: 340, Rejected: &view.Rejected{Position: 345, Why: "pool is too small"}}
	if err := view.ReportInstance(ctx, rdb, "payments.prod", in, time.Minute); err != nil {
		panic(err)
	}
	all, err := view.ListInstances(ctx, rdb, "payments.prod")
	if err != nil {
		panic(err)
	}
	for _, in := range all {
		fmt.Println(in.Instance, "at", in.Position, "rejects", in.Rejected.Position, in.Gone)
	}
	// Output: shop-1 at 340 rejects 345 false
}
