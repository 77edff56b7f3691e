package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/audit"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/redisurl"
	"github.com/holdfast-config/holdfast/projections"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// The log that is replayed.
const (
	replayNS     = "replay"
	replayEvents = 1_000_000
	replayKeys   = 100_000
)

// measureReplay: how fast the log is read, folded, and put into Redis anew. The sides that read take turns on the same rows.
func (b *bench) measureReplay(ctx context.Context) error {
	b.progress("%d events of %d keys", replayEvents, replayKeys)
	b.system.stop() // what an earlier measurement left
	if err := fill(ctx, b.system.postgres.URLFor("postgres", database), replayNS, replayEvents, replayKeys); err != nil {
		return err
	}
	log, err := eventlog.Open(ctx, eventlog.Config{URL: b.system.database, Logger: quiet})
	if err != nil {
		return err
	}
	defer log.Close()
	head, err := log.Head(ctx)
	if err != nil {
		return err
	}
	r := replaying{log: log, database: b.system.database, after: head.Position - replayEvents, until: head.Position}
	if err := b.measureFold(ctx, r); err != nil {
		return err
	}
	return b.measureRebuild(ctx)
}

// replaying is what is read from the log.
type replaying struct {
	log          *eventlog.Log
	database     string
	after, until events.Position
}

func (b *bench) measureFold(ctx context.Context, r replaying) error {
	sides := []struct {
		name  string
		read  func(context.Context) error
		least float64 // events a second
	}{
		{"plain streaming read", r.plain, 0},
		{"events folded", r.fold, 1_000_000},
		{"events folded and hashed", r.foldHashed, 400_000},
	}
	rates := map[string][]float64{}
	for range b.rounds {
		for _, side := range sides {
			b.progress("%s", side.name)
			began := time.Now()
			if err := side.read(ctx); err != nil {
				return fmt.Errorf("%s: %w", side.name, err)
			}
			rates[side.name] = append(rates[side.name], replayEvents/time.Since(began).Seconds())
		}
	}
	plain := median(rates[sides[0].name])
	for _, side := range sides[1:] {
		rate := median(rates[side.name])
		value := fmt.Sprintf("%.0f/s", rate)
		b.report.add(figure{name: side.name, value: value, peer: fmt.Sprintf("limit %.0f/s", side.least), ratio: rate / side.least, bound: 1})
		b.report.add(figure{name: side.name, value: value, peer: fmt.Sprintf("%s %.0f/s", sides[0].name, plain), ratio: rate / plain})
	}
	return nil
}

// plain reads the rows in one statement, and looks at none of their columns.
func (r replaying) plain(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, r.database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `
		SELECT position, namespace, revision, type, key, data, actor, reason, at
		FROM events
		WHERE position > $1 AND position <= $2
		ORDER BY position`, r.after, r.until)
	if err != nil {
		return err
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		n++
	}
	if rows.Err() == nil && n != replayEvents {
		return fmt.Errorf("read %d rows", n)
	}
	return rows.Err()
}

// fold folds the events, as replay --check does.
func (r replaying) fold(ctx context.Context) error {
	forest := projections.NewForest()
	if err := r.log.Rows(ctx, r.after, r.until, forest.Apply); err != nil {
		return err
	}
	if n := forest.Trees()[replayNS].Len(); n != replayKeys {
		return fmt.Errorf("folded %d keys", n)
	}
	return nil
}

// foldHashed folds the events, and hashes each into the tree whose root is sealed, as audit verify does.
func (r replaying) foldHashed(ctx context.Context) error {
	forest, sealed := projections.NewForest(), audit.Tree{}
	err := r.log.Rows(ctx, r.after, r.until, func(row eventlog.Row) error {
		sealed.Add(audit.LeafHash(row))
		return forest.Apply(row)
	})
	if tree := sealed.Sum(); err == nil && (tree.N != replayEvents || forest.Trees()[replayNS].Len() != replayKeys) {
		return fmt.Errorf("hashed %d events", tree.N)
	}
	return err
}

// measureRebuild: from the asking for a replay to its end, by a projector of its own process.
func (b *bench) measureRebuild(ctx context.Context) error {
	options, err := redisurl.Parse(b.system.redis.URL)
	if err != nil {
		return err
	}
	rdb := redis.NewUniversalClient(options)
	defer rdb.Close()
	if err := b.system.build(ctx); err != nil {
		return err
	}
	if err := b.system.startProjector(ctx); err != nil {
		return err
	}
	defer b.system.stop()
	var whole, own []float64
	for i := range b.rounds {
		b.progress("replay into Redis")
		began := time.Now()
		r, err := replay(ctx, rdb, fmt.Sprint(i))
		if err != nil {
			return err
		}
		if r.Keys < replayKeys {
			return fmt.Errorf("%d keys were rebuilt", r.Keys)
		}
		whole = append(whole, time.Since(began).Seconds())
		own = append(own, r.EndedAt.Sub(r.StartedAt).Seconds())
	}
	b.report.add(figure{
		name:  fmt.Sprintf("replay, %d events → %d keys in Redis", replayEvents, replayKeys),
		value: fmt.Sprintf("%.2f s, of which %.2f s until it began", median(whole), median(whole)-median(own)),
		peer:  "limit 3 s", ratio: median(whole) / 3, bound: 1, most: true,
	})
	return nil
}

func replay(ctx context.Context, rdb redis.UniversalClient, id string) (r view.Replay, err error) {
	if _, err := view.AskReplay(ctx, rdb, id, "bench"); err != nil {
		return r, err
	}
	err = waitFor(ctx, "replay", func() bool {
		r, err = view.LoadReplay(ctx, rdb)
		return err == nil && r.ID == id && !r.UnderWay()
	})
	return r, err
}
