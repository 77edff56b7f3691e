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

// Lines calls each with the lines of a log after a position, up to another; 0: the newest that is sealed. masked says
// which events are shown without their data. ErrNotSealed: there is no checkpoint yet.
func Lines(ctx context.Context, log *eventlog.Log, after, until events.Position, masked func(eventlog.Row) bool, each func(Line) error) error {
	sealed, err := log.Sealed(ctx)
	if err != nil {
		return err
	}
	if sealed.Note == "" {
		return fmt.Errorf("%w: the log has no checkpoint", ErrNotSealed)
	}
	if until == 0 {
		until = sealed.Size
	}
	if err := each(Line{Checkpoint: sealed.Note}); err != nil || after >= until {
		return err
	}
	return log.Rows(ctx, after, until, func(r eventlog.Row) error { return each(LineOf(r, masked(r))) })
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
