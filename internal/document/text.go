package document

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

// TextValue returns the value that text is for a key of the kind. A string is the text as it stands; a json must be
// JSON; any other kind is JSON where it parses, else a string ("1m30s", "64MiB"). Where nothing defines the key (kind is
// empty) it is the same, but that a number is only taken for one if it is written as it would be stored: version 1.10
// does not become 1.1. Whether the value is of the kind is not checked here.
func TextValue(kind events.Kind, text string) (events.Value, error) {
	if !utf8.ValidString(text) {
		return "", errors.New("value is not valid UTF-8")
	}
	if kind == events.String {
		return events.ParseValue(quote(text))
	}
	v, err := events.ParseValue([]byte(text))
	switch {
	case err == nil && (kind != "" || !isNumber(v) || string(v) == text):
		return v, nil
	case kind == events.JSON:
		return "", err
	}
	return events.ParseValue(quote(text))
}

func isNumber(v events.Value) bool {
	return v[0] == '-' || '0' <= v[0] && v[0] <= '9'
}

// Interpret turns the texts of an untyped document into values, by the kinds that the definitions in force give; kind
// returns the empty kind for a key that nothing defines.
func (d *Document) Interpret(kind func(events.Key) events.Kind) error {
	if !d.Untyped {
		return nil
	}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(d.Values)) {
		var text string
		if err := json.Unmarshal([]byte(d.Values[key]), &text); err != nil {
			return err // not reached: the values of an untyped document are strings
		}
		v, err := TextValue(kind(key), text)
		if err != nil {
			errs = append(errs, &Error{Path: string(key), Err: err})
			continue
		}
		d.Values[key] = v
	}
	d.Untyped = false
	return errors.Join(errs...)
}

// Define gives every key that has a value and no definition, here or by known, one of the kind that its value shows.
func (d *Document) Define(known func(events.Key) bool) {
	for key, v := range d.Values {
		if _, here := d.Definitions[key]; here || known(key) {
			continue
		}
		if d.Definitions == nil {
			d.Definitions = map[events.Key]events.Definition{}
		}
		d.Definitions[key] = events.Definition{Kind: config.Infer(v)}
	}
}
