package audit

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"iter"

	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
)

// Source is a log that is to be verified. Nothing that it yields needs to be trusted.
type Source interface {
	// Lines yields a checkpoint and then the events after a position, up to the checkpoint's. It ends with an error when
	// it can not go on.
	Lines(ctx context.Context, after events.Position) iter.Seq2[Line, error]
	Tiles
}

// Mask says of some rows which are to be shown without their data.
type Mask func(ctx context.Context, rows []eventlog.Row) (hides func(eventlog.Row) bool, err error)

// Bounds of how many rows are masked together.
const (
	maskAtOnce    = 1_000
	maskBytesOnce = 1 << 20
)

// Lines calls each with the lines of a log after a position, up to another, and not beyond what is sealed; 0: up to there.
// However many there are, it keeps few in memory. No mask: all are shown. ErrNotSealed: there is no checkpoint yet.
func Lines(ctx context.Context, log *eventlog.Log, after, until events.Position, mask Mask, each func(Line) error) error {
	sealed, err := log.Sealed(ctx)
	if err != nil {
		return err
	}
	if sealed.Note == "" {
		return fmt.Errorf("%w: the log has no checkpoint", ErrNotSealed)
	}
	if until == 0 || until > sealed.Size {
		until = sealed.Size
	}
	if err := each(Line{Checkpoint: sealed.Note}); err != nil || after >= until {
		return err
	}
	if mask == nil {
		return log.Rows(ctx, after, until, func(r eventlog.Row) error { return each(LineOf(r, false)) })
	}
	m := &masking{mask: mask, each: each}
	err = log.Rows(ctx, after, until, func(r eventlog.Row) error { return m.add(ctx, r) })
	if err != nil {
		return err
	}
	return m.flush(ctx)
}

// masking gathers rows that are masked together.
type masking struct {
	mask  Mask
	each  func(Line) error
	rows  []eventlog.Row
	bytes int
}

func (m *masking) add(ctx context.Context, r eventlog.Row) error {
	m.rows, m.bytes = append(m.rows, r), m.bytes+len(r.Data)
	if len(m.rows) < maskAtOnce && m.bytes < maskBytesOnce {
		return nil
	}
	return m.flush(ctx)
}

func (m *masking) flush(ctx context.Context) error {
	hides, err := m.mask(ctx, m.rows)
	if err != nil {
		return err
	}
	for _, r := range m.rows {
		if err := m.each(LineOf(r, hides(r))); err != nil {
			return err
		}
	}
	m.rows, m.bytes = m.rows[:0], 0
	return nil
}

// ReadLines yields the lines of an export after a position.
func ReadLines(r io.Reader, after events.Position) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, MaxLineBytes)
		for n := 1; lines.Scan(); n++ {
			line, err := ParseLine(lines.Bytes())
			if err != nil {
				yield(Line{}, fmt.Errorf("line %d: %w", n, err))
				return
			}
			if (line.Checkpoint != "" || line.Position > after) && !yield(line, nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(Line{}, err)
		}
	}
}
