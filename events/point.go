package events

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Point is a point in the history of a namespace, as people name it. One field is set; which events are before it depends
// on the namespace.
type Point struct {
	Revision Revision
	Position Position
	Time     time.Time
	Tag      Tag
}

// ErrUnknownPoint: the namespace has no such point in its history: a revision or position that is not reached, a tag that is
// not in use, a time before it was created.
var ErrUnknownPoint = errors.New("unknown point")

// PointError says why a namespace does not have a point. It is [ErrUnknownPoint].
type PointError struct {
	Namespace Namespace
	Point     Point
	Why       string
}

func (e *PointError) Error() string { return fmt.Sprintf("%s at %s: %s", e.Namespace, e.Point, e.Why) }
func (e *PointError) Unwrap() error { return ErrUnknownPoint }

// ParsePoint reads a point: 41 (a revision), @345 (a position), 2026-11-20T10:00:00Z or 2026-11-20 (RFC 3339; a date is its
// first moment in UTC), or a tag.
func ParsePoint(s string) (Point, error) {
	switch {
	case s == "":
		return Point{}, errors.New("is empty; a point is a revision, @position, a time or a tag")
	case isUpper(s[0]) || isLower(s[0]):
		tag, err := ParseTag(s)
		return Point{Tag: tag}, err
	case s[0] == '@':
		n, err := count(s[1:])
		return Point{Position: Position(n)}, err
	case strings.ContainsAny(s, "-:"):
		for _, layout := range []string{time.RFC3339, time.DateOnly} {
			if at, err := time.Parse(layout, s); err == nil {
				return Point{Time: at.UTC()}, nil
			}
		}
		return Point{}, errors.New("is not a time (2026-11-20T10:00:00Z) or date (2026-11-20) of RFC 3339")
	}
	n, err := count(s)
	return Point{Revision: Revision(n)}, err
}

// count reads a number that counts from 1.
func count(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 || !isDigit(s[0]) {
		return 0, errors.New("is not a revision (41), @position (@345), time (2026-11-20T10:00:00Z) or tag")
	}
	return n, nil
}

// String returns what [ParsePoint] reads; empty for the zero Point.
func (p Point) String() string {
	switch {
	case p.Revision > 0:
		return strconv.FormatInt(int64(p.Revision), 10)
	case p.Position > 0:
		return fmt.Sprintf("@%d", p.Position)
	case p.Tag != "":
		return string(p.Tag)
	case !p.Time.IsZero():
		return p.Time.Format(time.RFC3339Nano)
	}
	return ""
}
