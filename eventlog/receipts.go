package eventlog

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// receiptID names a receipt.
type receiptID struct{ principal, key string }

func (r *Receipt) id() receiptID { return receiptID{r.Principal, r.Key} }

// receipts are stored ones, by what they are looked up by.
type receipts map[receiptID]stored

type stored struct {
	hash []byte
	Appended
}

// answer answers d from its receipt, if there is one.
func (rs receipts) answer(d *decision) bool {
	if d.Receipt == nil {
		return false
	}
	first, ok := rs[d.Receipt.id()]
	switch {
	case !ok:
		return false
	case string(first.hash) != string(d.Receipt.Hash[:]):
		d.err = ErrKeyReused
	default:
		d.Appended = first.Appended
		d.Replayed = true
	}
	return true
}

const selectReceipts = `
	SELECT r.principal, r.key, r.hash, r.namespace, r.revision, r.position, r.events, r.at
	FROM unnest($1::text[], $2::text[]) AS wanted (principal, key)
	JOIN receipts r USING (principal, key)`

// wanted are the arguments of selectReceipts.
func wanted(ps []*posting) []any {
	principals, keys := []string{}, []string{}
	for _, p := range ps {
		if p.Receipt != nil {
			principals = append(principals, p.Receipt.Principal)
			keys = append(keys, p.Receipt.Key)
		}
	}
	return []any{principals, keys}
}

func scanReceipts(rows pgx.Rows) (receipts, error) {
	var (
		id  receiptID
		s   stored
		all = receipts{}
	)
	into := []any{&id.principal, &id.key, &s.hash, &s.Namespace, &s.Revision, &s.Position, &s.Events, &s.Time}
	_, err := pgx.ForEachRow(rows, into, func() error {
		s.Time = s.Time.UTC()
		all[id] = s
		s.hash = nil
		return nil
	})
	return all, err
}

// receiptRows are the columns of the receipts to insert.
type receiptRows struct {
	principals, keys, namespaces []string
	hashes                       [][]byte
	revisions, positions, events []int64
}

func (r *receiptRows) add(of *Receipt, a Appended) {
	r.principals = append(r.principals, of.Principal)
	r.keys = append(r.keys, of.Key)
	r.hashes = append(r.hashes, of.Hash[:])
	r.namespaces = append(r.namespaces, string(a.Namespace))
	r.revisions = append(r.revisions, int64(a.Revision))
	r.positions = append(r.positions, int64(a.Position))
	r.events = append(r.events, int64(a.Events))
}

const (
	receiptsKept  = "7 days"
	pruneInterval = time.Hour
	pruneBite     = 1000 // receipts in one transaction, so that none holds others up
)

// pruneHourly deletes receipts that are older than they are kept for.
func (l *Log) pruneHourly(ctx context.Context) {
	ticks := time.NewTicker(pruneInterval)
	defer ticks.Stop()
	for {
		if err := l.prune(ctx); err != nil && ctx.Err() == nil {
			l.cfg.Logger.Warn("prune receipts: will try again in an hour", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}

func (l *Log) prune(ctx context.Context) error {
	for {
		n, err := l.pruneBite(ctx)
		if err != nil || n < pruneBite {
			return err
		}
	}
}

func (l *Log) pruneBite(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	tag, err := l.pool.Exec(ctx, `
		DELETE FROM receipts
		WHERE (principal, key) IN (
		    SELECT principal, key
		    FROM receipts
		    WHERE stored_at < now() - $1::interval
		    ORDER BY stored_at
		    LIMIT $2)`, receiptsKept, pruneBite)
	return tag.RowsAffected(), err
}
