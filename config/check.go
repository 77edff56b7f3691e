package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/holdfast-config/holdfast/events"
)

// checks are the rules of a definition, ready to be used.
type checks struct {
	kind       events.Kind
	min, max   *bound
	enum       []events.Value // canonical
	pattern    *regexp.Regexp
	patternErr error
	schema     *schema
	schemaErr  error
}

type bound struct {
	measured
	shown string
}

// lazyChecks compiles the checks when they are first needed: folding a history makes definitions that nobody checks
// anything against.
type lazyChecks struct {
	once   sync.Once
	checks *checks
}

func (l *lazyChecks) of(d events.Definition) *checks {
	l.once.Do(func() { l.checks = compile(d) })
	return l.checks
}

func compile(d events.Definition) *checks {
	c := &checks{kind: d.Kind, min: newBound(d, d.Min), max: newBound(d, d.Max)}
	for _, v := range d.Enum {
		if canonical, err := Canonical(d.Kind, v); err == nil {
			v = canonical
		}
		c.enum = append(c.enum, v)
	}
	c.pattern, c.patternErr = compilePattern(d.Pattern)
	c.schema, c.schemaErr = compileSchema(d.Schema)
	return c
}

func newBound(d events.Definition, v events.Value) *bound {
	canonical, m, err := measure(d.Kind, v)
	if err != nil || !ordered(d.Kind) {
		return nil
	}
	return &bound{m, withUnit(d, show(canonical))}
}

// withUnit says what a bare number counts: "64 kB"; "16 × 8kB" where the unit is itself a number of something.
func withUnit(d events.Definition, number string) string {
	switch {
	case d.Unit == "" || d.Kind != events.Int && d.Kind != events.Float:
		return number
	case '0' <= d.Unit[0] && d.Unit[0] <= '9':
		return number + " × " + d.Unit
	}
	return number + " " + d.Unit
}

// check returns v in canonical form, or which rule it breaks, and where in v unless that is sensitive.
func (c *checks) check(v events.Value, sensitive bool, left *Effort) (events.Value, error) {
	canonical, m, err := measure(c.kind, v)
	switch {
	case err != nil:
		return "", err
	case c.min != nil && m.less(c.min.measured):
		return "", fmt.Errorf("is below the minimum %s", c.min.shown)
	case c.max != nil && c.max.less(m):
		return "", fmt.Errorf("is above the maximum %s", c.max.shown)
	case len(c.enum) > 0 && !slices.Contains(c.enum, canonical):
		return "", fmt.Errorf("is not one of %s", choices(c.enum))
	}
	if err := errors.Join(c.patternErr, c.schemaErr); err != nil {
		return "", fmt.Errorf("can not be checked, its definition is broken: %w", err)
	}
	if c.pattern != nil {
		if s, _ := text(canonical); !c.pattern.MatchString(s) {
			return "", fmt.Errorf("does not match the pattern %s", c.pattern)
		}
	}
	if c.schema != nil {
		if err := c.schema.check(canonical, sensitive, left); err != nil {
			return "", err
		}
	}
	return canonical, nil
}

// show writes a bound as people write it: 64MiB, not "64MiB".
func show(v events.Value) string { return strings.Trim(string(v), `"`) }

const maxShownChoices = 20 // of an enum, in an error text

func choices(enum []events.Value) string {
	var b strings.Builder
	for i, v := range enum {
		if i == maxShownChoices || b.Len() > 1000 {
			fmt.Fprintf(&b, " and %d more", len(enum)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		if len(v) > 100 {
			v = "a longer one"
		}
		b.WriteString(string(v))
	}
	return b.String()
}
