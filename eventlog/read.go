package eventlog

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-config/holdfast/events"
)

// Query selects events. The zero Query is all of them from the start.
type Query struct {
	Namespace events.Namespace // empty: all
	Above     bool             // those that Namespace's name extends, too
	Key       events.Key       // empty: all; needs Namespace
	Actor     string           // empty: all
	Types     []string         // stored names; empty: all
	After     events.Position  // exclusive
	Until     events.Position  // inclusive; 0: no end
	Newest    bool             // the newest first
	Limit     int              // default and maximum 10,000
}

const maxRead = 10_000

// Read returns events in the order of their positions, or the reverse. An actor or types within a namespace are looked for
// by reading the namespace, types alone by reading the log: that may take as long as loading a tree.
func (l *Log) Read(ctx context.Context, q Query) ([]events.Recorded, error) {
	if q.Key != "" && q.Namespace == "" {
		return nil, errors.New("read events of a key: name its namespace")
	}
	if q.Limit <= 0 || q.Limit > maxRead {
		q.Limit = maxRead
	}
	if q.Until <= 0 {
		q.Until = endOfLog
	}
	var evs []events.Recorded
	query := func(ctx context.Context, db queryer) error {
		rows, err := q.run(ctx, db)
		if err == nil {
			evs, err = collect(rows)
		}
		return err
	}
	var err error
	if searches := len(q.Types) > 0 || q.Actor != "" && q.Namespace != ""; searches {
		err = l.readPatiently(ctx, func(ctx context.Context, tx pgx.Tx) error { return query(ctx, tx) })
	} else {
		err = l.read(ctx, func(ctx context.Context) error { return query(ctx, l.pool) })
	}
	if err != nil {
		return nil, err
	}
	return evs, nil
}

// read runs a read over the pool, bounded, and a second time if its connection turned out to be broken: after a restart
// of the server all those that were idle are.
func (l *Log) read(ctx context.Context, do func(context.Context) error) error {
	return l.readWithin(ctx, l.cfg.Timeout, do)
}

// readWithin is read with a bound of its own on each try. The server's is another: see poolConfig.
func (l *Log) readWithin(ctx context.Context, limit time.Duration, do func(context.Context) error) error {
	try := func() error {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		return do(ctx)
	}
	err := try()
	if err != nil && ctx.Err() == nil && broken(err) {
		l.pool.Reset()
		err = try()
	}
	return readError(ctx, err)
}

// endOfLog is a position after every event.
const endOfLog events.Position = 1<<63 - 1

const selectAfter = `
	SELECT ` + columns + `
	FROM events
	WHERE position > $1 AND position <= $2
	ORDER BY position
	LIMIT $3`

// filtered is what else events have to be, of every query that follows.
const filtered = `position > $1 AND position <= $2 AND ($4 = '' OR actor = $4) AND ($5::text[] IS NULL OR type = ANY ($5))`

const selectFiltered = `
	SELECT ` + columns + `
	FROM events
	WHERE ` + filtered + `
	ORDER BY position
	LIMIT $3`

const selectOfActor = `
	SELECT ` + columns + `
	FROM events
	WHERE actor = $4 AND ` + filtered + `
	ORDER BY position
	LIMIT $3`

const selectOfNamespaces = `
	SELECT e.*
	FROM unnest($6::text[]) AS n (namespace) CROSS JOIN LATERAL (
	    SELECT ` + columns + `
	    FROM events
	    WHERE namespace = n.namespace AND ` + filtered + `
	    ORDER BY position
	    LIMIT $3) e
	ORDER BY position
	LIMIT $3`

// A key's events are in two partial indices, and its removal is in both.
const selectOfKey = `
	SELECT e.*
	FROM unnest($6::text[]) AS n (namespace) CROSS JOIN LATERAL (
	    (SELECT ` + columns + `
	     FROM events
	     WHERE type IN ('key.defined.v1', 'key.removed.v1')
	       AND namespace = n.namespace AND key = $7 AND ` + filtered + `
	     ORDER BY position
	     LIMIT $3)
	    UNION ALL
	    (SELECT ` + columns + `
	     FROM events
	     WHERE type IN ('value.set.v1', 'value.unset.v1')
	       AND namespace = n.namespace AND key = $7 AND ` + filtered + `
	     ORDER BY position
	     LIMIT $3)) e
	ORDER BY position
	LIMIT $3`

// queryer is a pool or a transaction.
type queryer interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func (q Query) run(ctx context.Context, db queryer) (pgx.Rows, error) {
	// The best plan depends on who and what is asked for. A statement that is kept is planned for any, and could read the log
	// backwards to find what is in an index.
	args := []any{planEachTime, q.After, q.Until, q.Limit, q.Actor, q.Types}
	switch {
	case q.Key != "":
		return db.Query(ctx, q.ordered(selectOfKey), append(args, q.namespaces(), q.Key)...)
	case q.Namespace != "":
		return db.Query(ctx, q.ordered(selectOfNamespaces), append(args, q.namespaces())...)
	case q.Actor != "":
		return db.Query(ctx, q.ordered(selectOfActor), args...)
	}
	return db.Query(ctx, q.ordered(selectFiltered), args...)
}

const planEachTime = pgx.QueryExecModeCacheDescribe

// ordered turns the order of a statement round for the newest first.
func (q Query) ordered(sql string) string {
	if q.Newest {
		return strings.ReplaceAll(sql, "ORDER BY position", "ORDER BY position DESC")
	}
	return sql
}

func (q Query) namespaces() []events.Namespace {
	names := q.Namespace.Lineage()
	if q.Above {
		return names
	}
	return names[:1]
}

// collect reads all rows. With an error it returns the events before the one it could not decode.
func collect(rows pgx.Rows) ([]events.Recorded, error) {
	var evs []events.Recorded
	err := scan(rows, func(ev events.Recorded) { evs = append(evs, ev) })
	return evs, err
}

// maxPageBytes is how much data a page holds, about. A change set is never more, so that a page has a whole one.
const maxPageBytes = 8 * events.MaxChangeSetBytes

var errPageFull = errors.New("page is full")

// collectPage is collect of rows that were limited to a number, and to maxPageBytes. More says that there may be more.
func collectPage(rows pgx.Rows, limit int) (evs []events.Recorded, more bool, err error) {
	size := 0
	err = scanSized(rows, func(ev events.Recorded, bytes int) error {
		evs, size = append(evs, ev), size+bytes
		if size > maxPageBytes {
			return errPageFull
		}
		return nil
	})
	if err == errPageFull {
		return evs, true, nil
	}
	return evs, len(evs) == limit, err
}

// scan calls each with the rows' events and closes rows.
func scan(rows pgx.Rows, each func(events.Recorded)) error {
	return scanSized(rows, func(ev events.Recorded, _ int) error { each(ev); return nil })
}

// scanSized is scan that tells the size of the data, too, and ends with the error of each.
func scanSized(rows pgx.Rows, each func(events.Recorded, int) error) error {
	return scanRows(rows, func(r Row) error {
		ev, err := r.Recorded()
		if err != nil {
			return err
		}
		return each(ev, len(r.Data))
	})
}
