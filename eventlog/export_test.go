package eventlog

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-config/holdfast/events"
)

// MaxUnchecked is the idle time after which the appender asks whether its connection still answers.
const MaxUnchecked = maxUnchecked

// Prune deletes the receipts that are old enough now.
func (l *Log) Prune(ctx context.Context) error { return l.prune(ctx) }

// ExplainLoad runs the statement of Load under the settings of the log's connections. It returns the number of blocks
// that it touched and the plan.
func (l *Log) ExplainLoad(ctx context.Context, root events.Namespace, planCacheMode string) (blocks int, plan string, err error) {
	return l.explain(ctx, planCacheMode, "text, bigint", selectTree, fmt.Sprintf("'%s', %d", root, endOfLog))
}

// ExplainReadOfActor is ExplainLoad for a page of what an actor wrote, the newest first.
func (l *Log) ExplainReadOfActor(ctx context.Context, actor, planCacheMode string) (blocks int, plan string, err error) {
	sql := Query{Newest: true}.ordered(selectOfActor)
	return l.explain(ctx, planCacheMode, "bigint, bigint, int, text, text[]", sql, fmt.Sprintf("0, %d, 100, '%s', NULL", endOfLog, actor))
}

// ExplainReadOfKey is ExplainLoad for a page of the events of a key.
func (l *Log) ExplainReadOfKey(ctx context.Context, ns events.Namespace, key events.Key, planCacheMode string) (blocks int, plan string, err error) {
	args := fmt.Sprintf("0, %d, 100, '', NULL, '{%s}', '%s'", endOfLog, ns, key)
	return l.explain(ctx, planCacheMode, "bigint, bigint, int, text, text[], text[], text", selectOfKey, args)
}

// PlanOfTail is the plan by which a tail's connection reads what is new.
func (l *Log) PlanOfTail(ctx context.Context) (plan string, err error) {
	conn, err := l.connect(ctx)
	if err != nil {
		return "", err
	}
	defer disconnect(conn)
	if _, err := conn.Exec(ctx, planOnce+"; PREPARE tail (bigint, bigint, int) AS "+selectAfter); err != nil {
		return "", err
	}
	rows, _ := conn.Query(ctx, "EXPLAIN EXECUTE tail (0, 9, 9)", pgx.QueryExecModeSimpleProtocol)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return strings.Join(lines, "\n"), err
}

// explain runs a prepared statement: only one can have a generic plan.
func (l *Log) explain(ctx context.Context, planCacheMode, types, sql, args string) (blocks int, plan string, err error) {
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL plan_cache_mode = "+planCacheMode); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "PREPARE explained ("+types+") AS "+sql); err != nil {
			return err
		}
		explain := "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE explained (" + args + ")"
		if err := tx.QueryRow(ctx, explain, pgx.QueryExecModeSimpleProtocol).Scan(&plan); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "DEALLOCATE explained")
		return err
	})
	if err != nil {
		return 0, "", err
	}
	var nodes []struct {
		Plan struct {
			Hit  int `json:"Shared Hit Blocks"`
			Read int `json:"Shared Read Blocks"`
		}
	}
	if err := json.Unmarshal([]byte(plan), &nodes); err != nil {
		return 0, "", err
	}
	return nodes[0].Plan.Hit + nodes[0].Plan.Read, plan, nil
}

// Waiting is the number of change sets that have no answer yet.
func (l *Log) Waiting() int64 { return l.appender.pending.Load() }

// Publish hands events to the tails of this Log as its appender does.
func (l *Log) Publish(evs []events.Recorded, head Head) { l.feed.publish(evs, head) }

// MaxPage is how many events a tail is handed, at most, before it takes them.
const MaxPage = maxPage
