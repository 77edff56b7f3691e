package eventlog

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

// Load folds the tree that ns belongs to, from the events up to and including at (0: all). It costs by the keys, and the
// events about namespaces themselves (tags, restores), not by the length of the keys' history.
func (l *Log) Load(ctx context.Context, ns events.Namespace, at events.Position) (config.Tree, error) {
	if at <= 0 {
		at = endOfLog
	}
	return l.load(ctx, ns.Root(), at)
}

// selectTree reads what the state of root $1 as of position $2 comes from: of each key the last event that defined or
// removed it, and the last that set, unset or removed its value; all else before them has no effect any more. And all that is
// about a namespace itself. The last event of each namespace is always among them.
//
// The keys are found by loose index scans: each step of the recursion is one descent to the next key, however many
// events the last one had. So is the last event of each.
const selectTree = `
	WITH RECURSIVE names AS (
	    SELECT namespace, position
	    FROM events
	    WHERE type = 'namespace.created.v1'
	      AND (namespace = $1 OR namespace >= $1 || '.' AND namespace < $1 || '/')
	      AND position <= $2
	), defined AS (
	    SELECT n.namespace, k.key
	    FROM names n CROSS JOIN LATERAL (
	        SELECT key
	        FROM events
	        WHERE type IN ('key.defined.v1', 'key.removed.v1')
	          AND namespace = n.namespace
	        ORDER BY key
	        LIMIT 1) k
	    UNION ALL
	    SELECT d.namespace, k.key
	    FROM defined d CROSS JOIN LATERAL (
	        SELECT key
	        FROM events
	        WHERE type IN ('key.defined.v1', 'key.removed.v1')
	          AND namespace = d.namespace AND key > d.key
	        ORDER BY key
	        LIMIT 1) k
	), valued AS (
	    SELECT n.namespace, k.key
	    FROM names n CROSS JOIN LATERAL (
	        SELECT key
	        FROM events
	        WHERE type IN ('value.set.v1', 'value.unset.v1', 'key.removed.v1')
	          AND namespace = n.namespace
	        ORDER BY key
	        LIMIT 1) k
	    UNION ALL
	    SELECT v.namespace, k.key
	    FROM valued v CROSS JOIN LATERAL (
	        SELECT key
	        FROM events
	        WHERE type IN ('value.set.v1', 'value.unset.v1', 'key.removed.v1')
	          AND namespace = v.namespace AND key > v.key
	        ORDER BY key
	        LIMIT 1) k
	), latest AS (
	    SELECT position FROM names
	    UNION ALL
	    SELECT p.position
	    FROM defined d CROSS JOIN LATERAL (
	        SELECT position
	        FROM events
	        WHERE type IN ('key.defined.v1', 'key.removed.v1')
	          AND namespace = d.namespace AND key = d.key AND position <= $2
	        ORDER BY position DESC
	        LIMIT 1) p
	    UNION -- not ALL: a removal is in both
	    SELECT p.position
	    FROM valued v CROSS JOIN LATERAL (
	        SELECT position
	        FROM events
	        WHERE type IN ('value.set.v1', 'value.unset.v1', 'key.removed.v1')
	          AND namespace = v.namespace AND key = v.key AND position <= $2
	        ORDER BY position DESC
	        LIMIT 1) p
	    UNION ALL -- about namespaces themselves, or of types unknown here, for which decoding stops
	    SELECT position
	    FROM events
	    WHERE type NOT IN ('namespace.created.v1', 'key.defined.v1', 'key.removed.v1', 'value.set.v1', 'value.unset.v1')
	      AND (namespace = $1 OR namespace >= $1 || '.' AND namespace < $1 || '/')
	      AND position <= $2
	)
	SELECT e.*
	FROM (SELECT position FROM latest ORDER BY position) l CROSS JOIN LATERAL (
	    SELECT ` + columns + `
	    FROM events
	    WHERE position = l.position
	    LIMIT 1) e -- a limit, so that this stays a look-up for each
	ORDER BY l.position`

// loadPatience is how many times Config.Timeout a load may take. It costs by the keys: a tree that can not be loaded in
// time could never be written, read or projected again.
const loadPatience = 6

// load is Load with at as it is: the state before the first event is the empty tree.
func (l *Log) load(ctx context.Context, root events.Namespace, at events.Position) (t config.Tree, err error) {
	if at == 0 {
		return t, nil
	}
	err = l.readPatiently(ctx, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, selectTree, root, at)
		if err == nil {
			t, err = fold(config.Tree{}, rows)
		}
		return err
	})
	if err != nil {
		return config.Tree{}, err
	}
	return t, nil
}

// readPatiently is read for what may take longer than other reads.
func (l *Log) readPatiently(ctx context.Context, do func(context.Context, pgx.Tx) error) error {
	patience := loadPatience * l.cfg.Timeout
	return l.readWithin(ctx, patience, func(ctx context.Context) error {
		tx, err := l.beginPatient(ctx, patience)
		if err != nil {
			return err
		}
		defer tx.Rollback(ctx) // there is nothing to commit
		return do(ctx, tx)
	})
}

// beginPatient begins a transaction whose statements may take longer than others. To begin it may not: a server that hangs
// is noticed as soon as by any other read.
func (l *Log) beginPatient(ctx context.Context, patience time.Duration) (pgx.Tx, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	tx, err := l.pool.Begin(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := tx.Exec(ctx, `SELECT set_config('statement_timeout', $1, true)`, serverPatience(patience)); err != nil {
		tx.Rollback(ctx)
		return nil, err
	}
	return tx, nil
}

// fold folds rows into t as they come.
func fold(t config.Tree, rows pgx.Rows) (config.Tree, error) {
	f := config.NewFold(t)
	err := scan(rows, f.Apply)
	return f.Tree(), err
}

// Present is Load of now, from the appender's memory brought up to date where it can.
func (l *Log) Present(ctx context.Context, ns events.Namespace) (config.Tree, error) {
	a, err := l.appender.post(ctx, &posting{Request: Request{Namespace: ns}})
	return a.tree, err
}

// Namespaces lists the namespaces that exist, sorted, those after the given one, at most limit.
func (l *Log) Namespaces(ctx context.Context, after events.Namespace, limit int) ([]events.Namespace, error) {
	var names []events.Namespace
	err := l.read(ctx, func(ctx context.Context) error {
		rows, err := l.pool.Query(ctx, `
			SELECT namespace
			FROM events
			WHERE type = 'namespace.created.v1' AND namespace > $1
			ORDER BY namespace
			LIMIT $2`, after, limit)
		if err == nil {
			names, err = pgx.CollectRows(rows, pgx.RowTo[events.Namespace])
		}
		return err
	})
	return names, err
}
