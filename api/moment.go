package api

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

// InAt asks for what was in force at an earlier point.
type InAt struct {
	At string `query:"at" maxLength:"128" doc:"As of this point of the namespace's history: 41 (a revision), @345 (a position), 2026-11-20T10:00:00Z, or a tag. Absent: now"`
}

// moment is the tree of a namespace as of a point in its history.
type moment struct {
	tree     config.Tree
	own      *config.Namespace
	position events.Position // everything up to here is included, and nothing after
}

// asOf returns the state at the point that a parameter names, now if it names none. The namespace must exist.
func (s *server) asOf(ctx context.Context, ns events.Namespace, parameter, text string) (m moment, err error) {
	if m.tree, m.own, err = s.tree(ctx, ns); err != nil {
		return m, err
	}
	if m.position = m.tree.Position(); text == "" {
		return m, nil
	}
	point, err := events.ParsePoint(text)
	if err != nil {
		return m, badParameter("query."+parameter, err.Error())
	}
	if m.position, err = s.log.Resolve(ctx, ns, point); err != nil {
		return m, err
	}
	if m.tree, err = s.log.Load(ctx, ns, m.position); err != nil {
		return m, err
	}
	var ok bool
	if m.own, ok = m.tree.Namespace(ns); !ok {
		err = fmt.Errorf("namespace %s is not in its own past, at position %d", ns, m.position)
	}
	return m, err
}

// endless is a position after every event.
const endless events.Position = math.MaxInt64

// bound returns the position of the last event that is not after the time or position that a parameter names; exclusive:
// that is before it.
func (s *server) bound(ctx context.Context, parameter, text string, exclusive bool) (events.Position, error) {
	point, err := events.ParsePoint(text)
	switch {
	case err != nil:
		return 0, badParameter("query."+parameter, err.Error())
	case point.Position > 0 && exclusive:
		return point.Position - 1, nil
	case point.Position > 0:
		return point.Position, nil
	case point.Time.IsZero():
		return 0, badParameter("query."+parameter, "is a time (2026-11-20T10:00:00Z) or @position (@345)")
	case exclusive:
		return s.log.PositionAt(ctx, point.Time.Add(-time.Microsecond)) // times are counted in microseconds
	}
	return s.log.PositionAt(ctx, point.Time)
}
