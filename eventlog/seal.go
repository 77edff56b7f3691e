package eventlog

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-config/holdfast/events"
)

// Sealed is how much of the log is sealed, and the signed note that says so. Package audit makes and checks it.
type Sealed struct {
	Size events.Position // of the last event that is sealed; 0: none
	Note string
}

// Tile is a part of the tree of hashes that is sealed.
type Tile struct {
	Level  int
	N      int64
	Hashes []byte // 1 to 256 of 32 bytes each
}

// ErrSealedMeanwhile: the log is not sealed up to where [Log.Seal] was told; what was computed from there is void.
var ErrSealedMeanwhile = errors.New("the log was sealed by another process, or its seal was replaced")

// Sealed returns how much is sealed now.
func (l *Log) Sealed(ctx context.Context) (s Sealed, err error) {
	err = l.read(ctx, func(ctx context.Context) error {
		return l.pool.QueryRow(ctx, `
			SELECT size, note
			FROM checkpoint`).Scan(&s.Size, &s.Note)
	})
	return s, err
}

// Tile returns the hashes of one tile, nil if there is none. The last tile of a level may have grown since it was sealed.
func (l *Log) Tile(ctx context.Context, level int, n int64) (hashes []byte, err error) {
	err = l.read(ctx, func(ctx context.Context) error {
		err := l.pool.QueryRow(ctx, `
			SELECT hashes
			FROM tiles
			WHERE level = $1 AND n = $2`, level, n).Scan(&hashes)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	return hashes, err
}

// Seal moves the seal from a position to another, and stores the tiles that this adds or makes wider, all in one
// transaction; ErrSealedMeanwhile if the seal is elsewhere. It never waits for an append, nor an append for it.
func (l *Log) Seal(ctx context.Context, from events.Position, to Sealed, tiles []Tile) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	err := pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		moved, err := tx.Exec(ctx, `
			UPDATE checkpoint
			SET size = $2, note = $3
			WHERE size = $1`, from, to.Size, to.Note)
		if err == nil && moved.RowsAffected() == 0 {
			err = ErrSealedMeanwhile
		}
		if err != nil {
			return err
		}
		var columns struct {
			levels []int
			ns     []int64
			hashes [][]byte
		}
		for _, t := range tiles {
			columns.levels = append(columns.levels, t.Level)
			columns.ns = append(columns.ns, t.N)
			columns.hashes = append(columns.hashes, t.Hashes)
		}
		_, err = tx.Exec(ctx, `
			INSERT INTO tiles (level, n, hashes)
			SELECT *
			FROM unnest($1::smallint[], $2::bigint[], $3::bytea[])
			ON CONFLICT (level, n) DO UPDATE SET hashes = excluded.hashes`, columns.levels, columns.ns, columns.hashes)
		return err
	})
	if errors.Is(err, ErrSealedMeanwhile) {
		return err
	}
	return readError(ctx, err)
}
