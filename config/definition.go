package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/holdfast-config/holdfast/events"
)

// Definition is a definition in a tree, with its checks compiled once.
type Definition struct {
	events.Definition
	From     events.Namespace
	Revision events.Revision // of From, when it was defined
	Position events.Position

	checks lazyChecks
}

// Check returns v in canonical form if the definition allows it, else an error that names the bound, the pattern, the
// choices or the place in the schema, and never the value.
func (d *Definition) Check(v events.Value) (events.Value, error) {
	left := MaxEffort
	return d.CheckWithin(v, false, &left)
}

// CheckWithin is Check, for no more than is left, which gets less by what the check took. Of a value that is sensitive, by d or
// by what the caller knows ([Tree.Sensitive]), the error names no place inside it.
func (d *Definition) CheckWithin(v events.Value, sensitive bool, left *Effort) (events.Value, error) {
	return d.checks.of(d.Definition).check(v, sensitive || d.Sensitive, left)
}

// Flaw is one reason why a definition makes no sense.
type Flaw struct {
	Field string // the member of the definition that is wrong, such as "min" or "enum.2"; empty: all of it
	Why   string // what is wrong with it
}

func (f *Flaw) Error() string { return strings.TrimSpace(f.Field + " " + f.Why) }

var errUnknownKind = fmt.Errorf("is not a kind; the kinds are %s", kindList())

func kindList() string {
	names := make([]string, len(events.Kinds))
	for i, k := range events.Kinds {
		names[i] = string(k)
	}
	return strings.Join(names, ", ")
}

// CheckDefinition returns d in canonical form, or every reason why it makes no sense (errors.Join of [*Flaw]): unknown
// kind, bounds for a kind without an order, min above max, a default that it forbids itself, a pattern or schema that
// does not compile, texts that are too long.
func CheckDefinition(d events.Definition) (events.Definition, error) {
	left := MaxEffort
	return CheckDefinitionWithin(d, &left)
}

// CheckDefinitionWithin is CheckDefinition, for no more than is left, which gets less by what the check took.
func CheckDefinitionWithin(d events.Definition, left *Effort) (events.Definition, error) {
	c := definitionCheck{d: d, left: left}
	if !slices.Contains(events.Kinds, d.Kind) {
		c.flaw("kind", errUnknownKind.Error())
		return d, errors.Join(c.flaws...)
	}
	c.bounds()
	c.texts()
	c.requires()
	rules := compile(c.d)
	for _, err := range []struct {
		field string
		err   error
	}{{"pattern", rules.patternErr}, {"schema", rules.schemaErr}} {
		if err.err != nil {
			c.flaw(err.field, err.err.Error())
		}
	}
	if len(c.flaws) == 0 {
		c.values(rules)
	}
	return c.d, errors.Join(c.flaws...)
}

// definitionCheck makes d canonical and collects its flaws.
type definitionCheck struct {
	d     events.Definition
	left  *Effort
	flaws []error
}

func (c *definitionCheck) flaw(field, why string) {
	c.flaws = append(c.flaws, &Flaw{Field: field, Why: why})
}

// bounds checks what only some kinds may have, and that the bounds are values of the kind.
func (c *definitionCheck) bounds() {
	d := &c.d
	for _, bound := range []struct {
		name  string
		value *events.Value
	}{{"min", &d.Min}, {"max", &d.Max}} {
		switch {
		case *bound.value == "":
		case !ordered(d.Kind):
			c.flaw(bound.name, fmt.Sprintf("makes no sense for kind %s, which has no order", d.Kind))
		default:
			*bound.value = c.canonical(bound.name, *bound.value)
		}
	}
	if d.Pattern != "" && d.Kind != events.String {
		c.flaw("pattern", fmt.Sprintf("makes no sense for kind %s, only for string", d.Kind))
	}
	if d.Schema != "" && d.Kind != events.JSON {
		c.flaw("schema", fmt.Sprintf("makes no sense for kind %s, only for json", d.Kind))
	}
	if len(c.flaws) > 0 || d.Min == "" || d.Max == "" {
		return
	}
	_, low, _ := measure(d.Kind, d.Min)
	_, high, _ := measure(d.Kind, d.Max)
	if high.less(low) {
		c.flaw("min", fmt.Sprintf("is above max: %s is more than %s", show(d.Min), show(d.Max)))
	}
}

// canonical returns v in the form of the kind, or v itself with a flaw noted.
func (c *definitionCheck) canonical(field string, v events.Value) events.Value {
	canonical, err := Canonical(c.d.Kind, v)
	if err != nil {
		c.flaw(field, err.Error())
		return v
	}
	return canonical
}

// values checks the choices and the default against the rules of the definition itself.
func (c *definitionCheck) values(rules *checks) {
	d, choices := &c.d, rules.enum
	rules.enum = nil // the choices themselves need only keep the other rules
	d.Enum = nil
	for i, v := range choices {
		allowed, err := rules.check(v, d.Sensitive, c.left)
		switch {
		case err != nil:
			c.flaw(fmt.Sprintf("enum.%d", i), err.Error())
		case !slices.Contains(d.Enum, allowed):
			d.Enum = append(d.Enum, allowed)
		}
	}
	rules.enum = d.Enum
	if d.Default == "" || len(c.flaws) > 0 {
		return
	}
	allowed, err := rules.check(d.Default, d.Sensitive, c.left)
	if err != nil {
		c.flaw("default", err.Error())
		return
	}
	d.Default = allowed
}

func (c *definitionCheck) requires() {
	keys := slices.Clone(c.d.Requires)
	for i, key := range keys {
		if _, err := events.ParseKey(string(key)); err != nil {
			c.flaw(fmt.Sprintf("requires.%d", i), "is not a "+err.Error())
		}
	}
	slices.Sort(keys)
	c.d.Requires = slices.Compact(keys)
}

func (c *definitionCheck) texts() {
	d := &c.d
	for _, text := range []struct {
		name, value string
		limit       int
	}{
		{"unit", d.Unit, events.MaxLabelBytes},
		{"group", d.Group, events.MaxLabelBytes},
		{"description", d.Description, events.MaxDescriptionBytes},
	} {
		if err := CheckText(text.value, text.limit); err != nil {
			c.flaw(text.name, err.Error())
		}
	}
	if err := CheckLabels(d.Labels); err != nil {
		c.flaw("labels", err.Error())
	}
	if len(d.Labels) == 0 {
		d.Labels = nil
	}
	if data, err := json.Marshal(*d); err != nil || len(data) > events.MaxDefinitionBytes {
		c.flaw("", fmt.Sprintf("is %d bytes as JSON, more than %d", len(data), events.MaxDefinitionBytes))
	}
}

// CheckText says what is wrong with a text for people: too long, not UTF-8, control characters other than tab and line
// break.
func CheckText(s string, limit int) error {
	if len(s) > limit {
		return &events.LimitError{Text: fmt.Sprintf("is %d bytes, more than %d", len(s), limit)}
	}
	if !utf8.ValidString(s) {
		return errors.New("is not valid UTF-8")
	}
	if at := strings.IndexFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }); at >= 0 {
		return fmt.Errorf("has a control character at byte %d", at)
	}
	return nil
}

// CheckLabels says what is wrong with labels: too many, one without a name, or a text too long.
func CheckLabels(labels map[string]string) error {
	if len(labels) > events.MaxLabels {
		return &events.LimitError{Text: fmt.Sprintf("are %d, more than %d", len(labels), events.MaxLabels)}
	}
	for name, value := range labels {
		if name == "" {
			return errors.New("have one without a name")
		}
		for _, s := range []string{name, value} {
			if err := CheckText(s, events.MaxLabelBytes); err != nil {
				return fmt.Errorf("have one whose text %w", err)
			}
		}
	}
	return nil
}

// compilePattern returns the regular expression of a definition, nil if it has none.
func compilePattern(pattern string) (*regexp.Regexp, error) {
	if pattern == "" {
		return nil, nil
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("is not a regular expression (RE2): %w", err)
	}
	return re, nil
}
