package eventlog

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

// Resolve returns the position as of which [Log.Load] gives what was in force at p: the end of a revision, of the revision
// that a tag names, or of the last change set that was whole at a time or a position. It fails with a [*events.PointError] if the namespace does not
// have the point: it did not exist then, or has not come so far.
func (l *Log) Resolve(ctx context.Context, ns events.Namespace, p events.Point) (events.Position, error) {
	tree, err := l.Present(ctx, ns)
	if err != nil {
		return 0, err
	}
	unknown := func(format string, args ...any) (events.Position, error) {
		return 0, &events.PointError{Namespace: ns, Point: p, Why: fmt.Sprintf(format, args...)}
	}
	space, ok := tree.Namespace(ns)
	if !ok {
		return unknown("the namespace does not exist")
	}
	revision := p.Revision
	if p.Tag != "" {
		if revision, ok = space.Tag(p.Tag); !ok {
			return unknown("there is no such tag")
		}
	}
	if revision > space.Revision {
		return unknown("the namespace is at revision %d", space.Revision)
	}
	pos := p.Position
	switch {
	case revision > 0:
		return l.endOfRevision(ctx, space, revision)
	case !p.Time.IsZero():
		var now time.Time
		if pos, now, err = l.positionAt(ctx, p.Time); err != nil {
			return 0, err
		}
		if p.Time.After(now) {
			return unknown("that time has not come; the database's clock says %s", now.Format(time.RFC3339))
		}
	default:
		head, err := l.Head(ctx)
		if err != nil {
			return 0, err
		}
		if pos > head.Position {
			return unknown("the log ends at %d", head.Position)
		}
		if pos, err = l.wholeAt(ctx, pos); err != nil {
			return 0, err
		}
	}
	if since := space.CreatedAt; pos < since.Position {
		return unknown("the namespace exists since %s, position %d", since.Time.Format(time.RFC3339Nano), since.Position)
	}
	return pos, nil
}

// wholeAt returns where the last change set ends that is whole at pos: a change set is in force whole, or not at all.
func (l *Log) wholeAt(ctx context.Context, pos events.Position) (end events.Position, err error) {
	err = l.read(ctx, func(ctx context.Context) error {
		return l.pool.QueryRow(ctx, `
			SELECT coalesce(max(e.position), 0)
			FROM events e
			WHERE e.position <= $1 AND e.position > $1 - $2
			  AND NOT EXISTS (
			    SELECT FROM events next
			    WHERE next.position = $1 + 1 AND next.namespace = e.namespace AND next.revision = e.revision)`,
			pos, maxEvents+1).Scan(&end)
	})
	return end, err
}

// PositionAt returns the position of the last event at or before t; 0 if there is none. While t is in the future, or was a
// moment ago, more events may come before it.
func (l *Log) PositionAt(ctx context.Context, t time.Time) (events.Position, error) {
	pos, _, err := l.positionAt(ctx, t)
	return pos, err
}

// positionAt also returns what the database's clock says. Times never decrease as positions grow, and positions have no
// gaps: halving finds the place without an index of times.
func (l *Log) positionAt(ctx context.Context, t time.Time) (pos events.Position, now time.Time, err error) {
	err = l.read(ctx, func(ctx context.Context) error {
		return l.pool.QueryRow(ctx, `
			WITH RECURSIVE search AS (
			    SELECT 0::bigint AS low, position AS high
			    FROM head
			    UNION ALL
			    SELECT CASE WHEN e.at <= $1 THEN s.middle ELSE s.low END,
			           CASE WHEN e.at <= $1 THEN s.high ELSE s.middle - 1 END
			    FROM (SELECT low, high, (low + high + 1) / 2 AS middle FROM search WHERE low < high) s
			    JOIN events e ON e.position = s.middle
			)
			SELECT low, clock_timestamp()
			FROM search
			WHERE low = high`, t).Scan(&pos, &now)
	})
	return pos, now.UTC(), err
}

// endOfRevision returns the position of the last event of a revision that the namespace has. Halving again: revisions do not
// decrease from one event of the namespace to the next.
func (l *Log) endOfRevision(ctx context.Context, ns *config.Namespace, revision events.Revision) (pos events.Position, err error) {
	if revision == ns.Revision {
		return ns.Position, nil
	}
	err = l.read(ctx, func(ctx context.Context) error {
		return l.pool.QueryRow(ctx, `
			WITH RECURSIVE search AS (
			    SELECT $2::bigint AS low, $3::bigint AS high
			    UNION ALL
			    SELECT CASE WHEN e.revision <= $4 THEN s.middle ELSE s.low END,
			           CASE WHEN e.revision <= $4 THEN s.high ELSE e.position - 1 END
			    FROM (SELECT low, high, (low + high + 1) / 2 AS middle FROM search WHERE low < high) s
			    CROSS JOIN LATERAL (
			        SELECT position, revision
			        FROM events
			        WHERE namespace = $1 AND position <= s.middle
			        ORDER BY position DESC
			        LIMIT 1) e
			)
			SELECT e.position
			FROM search s CROSS JOIN LATERAL (
			    SELECT position
			    FROM events
			    WHERE namespace = $1 AND position <= s.low
			    ORDER BY position DESC
			    LIMIT 1) e
			WHERE s.low = s.high`, ns.Name, ns.CreatedAt.Position, ns.Position, revision).Scan(&pos)
	})
	return pos, err
}

// Sensitive returns, of the given keys in the given namespaces, those that a definition there has ever called sensitive,
// also where they are not defined any more.
func (l *Log) Sensitive(ctx context.Context, namespaces []events.Namespace, keys []events.Key) (map[events.Namespace]map[events.Key]bool, error) {
	all := map[events.Namespace]map[events.Key]bool{}
	err := l.readPatiently(ctx, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			SELECT DISTINCT namespace, key
			FROM events
			WHERE type IN ('key.defined.v1', 'key.removed.v1')
			  AND namespace = ANY ($1) AND key = ANY ($2)
			  AND data->'definition'->>'sensitive' = 'true'`, namespaces, keys)
		if err != nil {
			return err
		}
		var ns events.Namespace
		var key events.Key
		_, err = pgx.ForEachRow(rows, []any{&ns, &key}, func() error {
			if all[ns] == nil {
				all[ns] = map[events.Key]bool{}
			}
			all[ns][key] = true
			return nil
		})
		return err
	})
	return all, err
}
