package eventlog

import (
	"bytes"
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-config/holdfast/events"
)

// Row is an event as its row holds it, to the byte: what is hashed, exported and proved. [Row.Recorded] is what it means.
type Row struct {
	events.Stored // an empty key is NULL
	Position      events.Position
	Namespace     events.Namespace
	Revision      events.Revision
	Actor         string
	Reason        string
	Time          time.Time // UTC, microseconds
}

// Recorded returns the event that the row stores. It fails as [events.Decode] does.
func (r Row) Recorded() (events.Recorded, error) {
	rec := events.Recorded{
		Position: r.Position, Namespace: r.Namespace, Revision: r.Revision, Time: r.Time, Actor: r.Actor, Reason: r.Reason,
	}
	var err error
	if rec.Event, err = events.Decode(r.Stored); err != nil {
		return rec, &undecodable{rec, err}
	}
	return rec, nil
}

// Rows calls fn with each row after one position up to and including another (0: where the log ends now), in the order of
// their positions, and returns fn's error. However many there are, it keeps no more than two pages of them in memory (each
// some 2,000 rows, or 8 MiB), holds no transaction open while fn works, and reads the next page meanwhile. A row whose
// event is of an unknown type comes like any other, and positions that the table lacks are left out.
func (l *Log) Rows(ctx context.Context, after, until events.Position, fn func(Row) error) error {
	if until <= 0 {
		head, err := l.Head(ctx)
		if err != nil {
			return err
		}
		until = head.Position
	}
	ctx, cancel := context.WithCancel(ctx)
	pages, ended := make(chan []Row), make(chan error, 1)
	go func() {
		defer close(pages)
		ended <- l.pages(ctx, after, until, pages)
	}()
	for page := range pages {
		for _, row := range page {
			if err := fn(row); err != nil {
				cancel()
				<-ended
				return err
			}
		}
	}
	cancel()
	return <-ended
}

// pages reads the rows and hands them over, until there are no more.
func (l *Log) pages(ctx context.Context, after, until events.Position, pages chan<- []Row) error {
	limit := maxPage
	for more := true; more && after < until; {
		var page []Row
		err := l.read(ctx, func(ctx context.Context) error {
			rows, err := l.pool.Query(ctx, selectAfter, after, until, limit)
			if err != nil {
				return err
			}
			page, more, err = collectRows(rows, limit)
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		after = page[len(page)-1].Position
		// What is beyond a full page is sent for nothing: where rows are large, fewer are asked for.
		if limit = min(2*limit, maxPage); len(page) < limit/2 {
			limit = max(1, len(page))
		}
		select {
		case pages <- page:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// collectRows is collectPage of rows as they are.
func collectRows(rows pgx.Rows, limit int) (page []Row, more bool, err error) {
	size := 0
	err = scanRows(rows, func(r Row) error {
		r.Data = bytes.Clone(r.Data)
		page, size = append(page, r), size+len(r.Data)
		if size > maxPageBytes {
			return errPageFull
		}
		return nil
	})
	if err == errPageFull {
		return page, true, nil
	}
	return page, len(page) == limit, err
}

// columns are those that scanRows reads.
const columns = `position, namespace, revision, type, key, data, actor, reason, at`

// scanRows calls each with the rows, ends with its error, and closes rows. A row's data is only good until each returns.
func scanRows(rows pgx.Rows, each func(Row) error) error {
	var row Row
	into := []any{&row.Position, nil, &row.Revision, nil, nil, nil, nil, nil, &row.Time}
	_, err := pgx.ForEachRow(rows, into, func() error {
		raw := rows.RawValues() // text and json are the same bytes in both of the protocol's formats
		retake(&row.Namespace, raw[1])
		retake(&row.Type, raw[3])
		retake(&row.Key, raw[4]) // NULL has no bytes
		row.Data = raw[5]
		retake(&row.Actor, raw[6])
		retake(&row.Reason, raw[7])
		row.Time = row.Time.UTC()
		return each(row)
	})
	return err
}

// retake makes text the bytes, without a copy where they are what it was: most columns repeat from row to row.
func retake[T ~string](text *T, b []byte) {
	if string(*text) != string(b) {
		*text = T(b)
	}
}
