package readmodel

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"
	"time"

	"github.com/holdfast-config/holdfast/events"
)

// Bound is a struct that follows a reader.
type Bound[T any] struct {
	newest atomic.Pointer[T]
	fields []boundField
}

// Load returns the newest values, all of one snapshot. It is one atomic load. The struct is shared: it must not be
// changed, nor what it points to.
func (b *Bound[T]) Load() *T { return b.newest.Load() }

// At returns the values of a snapshot, such as that of a request, in a struct of the caller's own; from nil: the
// defaults.
func (b *Bound[T]) At(from Values) *T {
	if from != nil {
		from = from.Snapshot() // one for all fields
	}
	t := new(T)
	for _, f := range b.fields {
		reflect.ValueOf(t).Elem().FieldByIndex(f.index).Set(f.key.Get(from))
	}
	return t
}

// Bind makes a T that follows r. The fields of T say in a tag which key they are, and with which default; those of
// structs without a tag are bound as well, other fields without one stay as they are:
//
//	type HTTPConfig struct {
//		Timeout time.Duration `holdfast:"http.timeout,default=5s"`
//		MaxBody int64         `holdfast:"http.max_body,size,default=1MiB"`
//		Mode    string        `holdfast:"mode,oneof=safe|fast,default=safe"`
//		Workers int           `holdfast:"workers,min=1,max=64,default=8"`
//		Limits  Limits        `holdfast:"limits"`
//	}
//
// Fields are bool, signed integers, floats, text, time.Duration, and anything else as JSON. min, max and oneof narrow what this
// program takes, as [Range] and [OneOf] do; size makes an int64 a [Size]. What default= says goes to the end of the tag:
// a text as it is, everything else as in a value. Without it the default is the field's zero value.
//
// Values are decoded, checked and, if refused, replaced as those of a [Key]. Errors are those of tags and types, all of
// them, and, as [Config].Mismatch says, [ErrMismatch]. A Bound follows its reader to the end: bind once.
func Bind[T any](r *Reader) (*Bound[T], error) {
	b := &Bound[T]{}
	typ := reflect.TypeFor[T]()
	if typ.Kind() != reflect.Struct {
		return nil, fmt.Errorf("bind %s: it is not a struct", typ)
	}
	fields, err := fieldsOf(typ, nil)
	if err != nil {
		return nil, fmt.Errorf("bind %s: %w", typ, err)
	}
	declared := make([]Declared, len(fields))
	for i, f := range fields {
		declared[i] = f.key
		f.key.Get(r) // the reader knows the key from here on
	}
	if err := r.compare(declared); err != nil {
		return nil, fmt.Errorf("bind %s: %w", typ, err)
	}
	b.fields = fields
	r.mu.Lock()
	defer r.mu.Unlock()
	b.newest.Store(b.At(r.Snapshot()))
	r.bound = append(r.bound, func(s step) {
		for _, f := range fields {
			was, now := s.before.decoded.Load().at(f.key.id), s.after.decoded.Load().at(f.key.id)
			if now == nil || now != was {
				b.newest.Store(b.At(s.after))
				return
			}
		}
	})
	return b, nil
}

// boundField is a field of a struct and the key it follows.
type boundField struct {
	index []int
	key   *Key[reflect.Value]
}

// fieldsOf returns the fields of a struct type that have a tag, and those of structs in it.
func fieldsOf(typ reflect.Type, at []int) (fields []boundField, err error) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		index := append(at[:len(at):len(at)], i)
		tag, tagged := f.Tag.Lookup("holdfast")
		switch {
		case tagged && tag == "-":
		case tagged && !f.IsExported():
			err = errors.Join(err, fmt.Errorf("field %s: it has a tag, but is not exported", f.Name))
		case tagged:
			key, wrong := keyOf(f.Type, tag)
			if wrong != nil {
				err = errors.Join(err, fmt.Errorf("field %s: %w", f.Name, wrong))
				continue
			}
			fields = append(fields, boundField{index, key})
		case f.Type.Kind() == reflect.Struct && f.IsExported():
			inner, wrong := fieldsOf(f.Type, index)
			fields, err = append(fields, inner...), errors.Join(err, wrong)
		}
	}
	return fields, err
}

// keyOf declares the key of a field of the type.
func keyOf(typ reflect.Type, tag string) (*Key[reflect.Value], error) {
	name, rest, _ := strings.Cut(tag, ",")
	if _, err := events.ParseKey(name); err != nil {
		return nil, err
	}
	kind := kindOf(typ)
	fallback, hasFallback := "", false
	var checks []Option[reflect.Value]
	for rest != "" {
		var word string
		if text, ok := strings.CutPrefix(rest, "default="); ok {
			fallback, hasFallback = text, true
			break
		}
		word, rest, _ = strings.Cut(rest, ",")
		if word == "size" && typ.Kind() == reflect.Int64 && kind == events.Int {
			kind = events.Size
			continue
		}
		check, err := checkOf(typ, kind, word)
		if err != nil {
			return nil, err
		}
		checks = append(checks, check)
	}
	parse := func(v events.Value) (reflect.Value, error) { return parseAs(typ, kind, v) }
	zero := reflect.New(typ).Elem()
	if hasFallback {
		var err error
		if zero, err = parse(literal(kind, fallback)); err != nil {
			return nil, fmt.Errorf("default=%s: %w", fallback, err)
		}
	}
	if err := allow(zero, checks); err != nil {
		return nil, fmt.Errorf("the default is refused: %w", err)
	}
	return declare(name, kind, zero, parse, checks), nil
}

func kindOf(typ reflect.Type) events.Kind {
	switch {
	case typ == reflect.TypeFor[time.Duration]():
		return events.Duration
	case typ.Kind() == reflect.Bool:
		return events.Bool
	case typ.Kind() >= reflect.Int && typ.Kind() <= reflect.Int64:
		return events.Int
	case typ.Kind() == reflect.Float32, typ.Kind() == reflect.Float64:
		return events.Float
	case typ.Kind() == reflect.String:
		return events.String
	}
	return events.JSON
}

// literal returns what a tag says in the form of a value.
func literal(kind events.Kind, text string) events.Value {
	switch kind {
	case events.String, events.Duration, events.Size:
		quoted, _ := json.Marshal(text) // of a string never fails
		return events.Value(quoted)
	}
	return events.Value(text)
}

// parseAs decodes v into a value of the type.
func parseAs(typ reflect.Type, kind events.Kind, v events.Value) (reflect.Value, error) {
	field := reflect.New(typ).Elem()
	switch kind {
	case events.Bool:
		b, err := parseBool(v)
		field.SetBool(b)
		return field, err
	case events.Int:
		n, err := parseInt[int64](v)
		if err == nil && field.OverflowInt(n) {
			err = fmt.Errorf("value is out of the range of %s", typ)
		}
		field.SetInt(n)
		return field, err
	case events.Size:
		n, err := parseSize(v)
		field.SetInt(n)
		return field, err
	case events.Duration:
		d, err := parseDuration(v)
		field.SetInt(int64(d))
		return field, err
	case events.Float:
		f, err := parseFloat(v)
		if err == nil && field.OverflowFloat(f) {
			err = fmt.Errorf("value is out of the range of %s", typ)
		}
		field.SetFloat(f)
		return field, err
	case events.String:
		s, err := parseString(v)
		field.SetString(s)
		return field, err
	}
	return field, unmarshal(v, field.Addr().Interface(), typ)
}

// checkOf returns what min=, max= or oneof= means for a field.
func checkOf(typ reflect.Type, kind events.Kind, word string) (none Option[reflect.Value], err error) {
	name, text, _ := strings.Cut(word, "=")
	switch name {
	case "min", "max":
		if kind == events.Bool || kind == events.String || kind == events.JSON {
			return none, fmt.Errorf("%s is for numbers, durations and sizes, not for a %s", name, typ)
		}
		bound, err := parseAs(typ, kind, literal(kind, text))
		if err != nil {
			return none, fmt.Errorf("%s: %w", word, err)
		}
		return Check(func(v reflect.Value) error {
			if less := lessThan(v, bound); name == "min" && less {
				return fmt.Errorf("value is less than %s", text)
			}
			if name == "max" && lessThan(bound, v) {
				return fmt.Errorf("value is more than %s", text)
			}
			return nil
		}), nil
	case "oneof":
		if kind == events.JSON {
			return none, fmt.Errorf("oneof is not for a %s", typ)
		}
		var values []reflect.Value
		for word := range strings.SplitSeq(text, "|") {
			v, err := parseAs(typ, kind, literal(kind, word))
			if err != nil {
				return none, fmt.Errorf("oneof: %q: %w", word, err)
			}
			values = append(values, v)
		}
		return Check(func(v reflect.Value) error {
			for _, one := range values {
				if v.Equal(one) {
					return nil
				}
			}
			return fmt.Errorf("value is none of %s", text)
		}), nil
	}
	return none, fmt.Errorf("%q is not one of size, min=, max=, oneof= and default=", word)
}

func lessThan(a, b reflect.Value) bool {
	if a.CanFloat() {
		return a.Float() < b.Float()
	}
	return a.Int() < b.Int()
}
