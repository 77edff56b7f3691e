package eventlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-config/holdfast/events"
)

// ErrClockBehind: the clock is before the time when the present epoch began; the next one would be taken for an older one.
var ErrClockBehind = errors.New("this machine's clock is behind the beginning of the present epoch")

// ErrEpochUnknown: the database's answer was lost; the epoch may have begun or not. To begin another does no harm.
var ErrEpochUnknown = errors.New("the database's answer was lost: the epoch may have begun or not; begin one again, which does no harm")

// BeginEpoch declares that the log is another history from here on, such as one that was restored from a backup: every
// reader resyncs, tails end with ErrEpochChanged, and projectors of the epoch before are refused by Redis. It appends
// [events.EpochBegan] in one transaction with the new epoch. The errors are ErrClockBehind, ErrEpochUnknown, or that nothing
// was stored. It needs the privileges of the owner of the database, which the application's role has not.
func (l *Log) BeginEpoch(ctx context.Context, actor, reason string) (began events.EpochBegan, at Head, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	committing := false
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		before, err := scanHead(tx.QueryRow(ctx, selectHead+` FOR UPDATE`))
		if err != nil {
			return err
		}
		began.Previous = before.Epoch
		if began.Epoch, err = nextEpoch(before.Epoch); err != nil {
			return err
		}
		stored, err := events.Encode(began)
		if err != nil {
			return err
		}
		at, err = scanHead(tx.QueryRow(ctx, `
			WITH moved AS (
			    UPDATE head
			    SET position = position + 1, at = greatest(at, clock_timestamp()), epoch = $1::uuid
			    RETURNING epoch, position, at
			), last AS (
			    SELECT coalesce(max(revision), 0) AS revision
			    FROM events
			    WHERE namespace = $2
			), appended AS (
			    INSERT INTO events (position, namespace, revision, type, key, data, actor, reason, at)
			    SELECT moved.position, $2, last.revision + 1, $3, NULL, $4::text::json, $5, $6, moved.at
			    FROM moved, last
			), hinted AS (
			    SELECT pg_notify('`+channel+`', position::text)
			    FROM moved
			)
			SELECT epoch::text, position, at
			FROM moved, hinted`, began.Epoch, events.LogNamespace, stored.Type, stored.Data, actor, reason))
		committing = err == nil
		return err
	})
	switch {
	case err == nil, errors.Is(err, ErrClockBehind):
		return began, at, err
	case committing && judge(err, true) != rejected:
		return began, at, fmt.Errorf("%w: %w", ErrEpochUnknown, err)
	}
	return began, at, readError(ctx, err)
}

// nextEpoch returns a name for the epoch after another: a UUID of version 7, which begins with its time. Redis compares
// them (projections/epoch.lua).
func nextEpoch(before string) (string, error) {
	next, err := uuid.NewV7()
	if err != nil {
		return "", err
	}
	if last, err := uuid.Parse(before); err == nil && last.Version() == 7 && next.String() <= before {
		sec, nsec := last.Time().UnixTime()
		return "", fmt.Errorf("%w: %s", ErrClockBehind, time.Unix(sec, nsec).UTC().Format(time.RFC3339))
	}
	return next.String(), nil
}
