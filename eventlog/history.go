package eventlog

import (
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/holdfast-config/holdfast/events"
)

// Change is an event with what it took the place of.
type Change struct {
	events.Recorded
	Value      events.Value              // the key's own value before the event; empty: none, or the event is about no key
	Definition *events.Definition        // the key's own definition before it; nil: none
	Restored   *events.NamespaceRestored // what its change set brought back; nil: it is no restore
}

// History is [Log.Read] that also tells, of each event about a key, what was there before it, and whether it is part of a
// restore.
func (l *Log) History(ctx context.Context, q Query) ([]Change, error) {
	evs, err := l.Read(ctx, q)
	if err != nil || len(evs) == 0 {
		return nil, err
	}
	h := history{changes: make([]Change, len(evs)), byPosition: make(map[events.Position]*Change, len(evs))}
	for i, ev := range evs {
		h.changes[i].Recorded = ev
		h.byPosition[ev.Position] = &h.changes[i]
	}
	if err := l.read(ctx, func(ctx context.Context) error { return h.fill(ctx, l.pool) }); err != nil {
		return nil, err
	}
	return h.changes, nil
}

// history is changes on the way to be complete.
type history struct {
	changes    []Change
	byPosition map[events.Position]*Change
}

func (h *history) fill(ctx context.Context, db *pgxpool.Pool) error {
	var pipeline pgx.Batch
	var positions []events.Position
	var namespaces, keys []string
	spaces := map[events.Namespace]bool{}
	for _, c := range h.changes {
		spaces[c.Namespace] = true
		if key := events.KeyOf(c.Event); key != "" {
			positions, namespaces, keys = append(positions, c.Position), append(namespaces, string(c.Namespace)), append(keys, string(key))
		}
	}
	pipeline.Queue(selectBefore, positions, namespaces, keys).Query(h.takeBefore)
	first, last := h.changes[0].Position, h.changes[len(h.changes)-1].Position
	first, last = min(first, last)-maxEvents, max(first, last) // a restore says so in its first event
	pipeline.Queue(selectRestores, slices.Collect(maps.Keys(spaces)), first, last).Query(h.takeRestores)
	return db.SendBatch(ctx, &pipeline).Close()
}

// selectBefore finds the last event of each class before a change of a key: what was its own then.
const selectBefore = `
	SELECT c.position, b.type, c.key, b.data
	FROM unnest($1::bigint[], $2::text[], $3::text[]) AS c (position, namespace, key) CROSS JOIN LATERAL (
	    (SELECT type, data
	     FROM events
	     WHERE type IN ('key.defined.v1', 'key.removed.v1')
	       AND namespace = c.namespace AND key = c.key AND position < c.position
	     ORDER BY position DESC
	     LIMIT 1)
	    UNION ALL
	    (SELECT type, data
	     FROM events
	     WHERE type IN ('value.set.v1', 'value.unset.v1', 'key.removed.v1')
	       AND namespace = c.namespace AND key = c.key AND position < c.position
	     ORDER BY position DESC
	     LIMIT 1)) b
	WHERE b.type IN ('key.defined.v1', 'value.set.v1')`

func (h *history) takeBefore(rows pgx.Rows) error {
	var pos events.Position
	var s events.Stored
	_, err := pgx.ForEachRow(rows, []any{&pos, &s.Type, &s.Key, &s.Data}, func() error {
		was, err := events.Decode(s)
		if err != nil {
			return &undecodable{events.Recorded{Position: pos}, err}
		}
		switch was := was.(type) {
		case events.KeyDefined:
			h.byPosition[pos].Definition = &was.Definition
		case events.ValueSet:
			h.byPosition[pos].Value = was.Value
		}
		return nil
	})
	return err
}

// selectRestores repeats the condition of the index events_others.
const selectRestores = `
	SELECT ` + columns + `
	FROM events
	WHERE type NOT IN ('namespace.created.v1', 'key.defined.v1', 'key.removed.v1', 'value.set.v1', 'value.unset.v1')
	  AND type = 'namespace.restored.v1'
	  AND namespace = ANY ($1) AND position >= $2 AND position <= $3
	ORDER BY position`

func (h *history) takeRestores(rows pgx.Rows) error {
	type changeSet struct {
		namespace events.Namespace
		revision  events.Revision
	}
	restored := map[changeSet]*events.NamespaceRestored{}
	err := scan(rows, func(ev events.Recorded) {
		if r, ok := ev.Event.(events.NamespaceRestored); ok {
			restored[changeSet{ev.Namespace, ev.Revision}] = &r
		}
	})
	for i, c := range h.changes {
		h.changes[i].Restored = restored[changeSet{c.Namespace, c.Revision}]
	}
	return err
}
