package readmodel

import (
	"fmt"
	"time"

	"github.com/holdfast-config/holdfast/events"
)

// Values is what a typed key reads from: a [*Reader], a [*Snapshot], or nil, which has no values.
type Values interface {
	// Snapshot returns the newest snapshot; nil: there is none.
	Snapshot() *Snapshot
}

// Key is a setting as a program declares it: its name, the Go type of its values and the value to use where the
// namespace has none. Declare keys once, as package variables:
//
//	var MaxConns = readmodel.Int("db.max_conns", 20)
//
// What counts is how a value is written, not the kind that the namespace's definition says: a duration key takes the text
// "1m30s" also from a key that was never defined, and a float key takes the value 3. A value that is not written as the
// declaration says is refused: [Key.Get] returns the declared default, [Key.Lookup] says why, and the reader's logger is
// told once. A value is decoded when it is first asked for and never again, in whatever snapshots it stands.
type Key[T any] struct {
	name     events.Key
	kind     events.Kind
	fallback T
	parse    func(events.Value) (T, error)
}

// Integer are the types that an int key can have. A value out of the type's range is refused.
type Integer interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64
}

// Bool declares a key with values true and false. Like the other declarations it panics if name breaks the rules of
// names (see [events.ParseKey]), since that can only be a mistake in the program.
func Bool(name string, fallback bool) *Key[bool] {
	return declare(name, events.Bool, fallback, parseBool)
}

// Int declares a key with integer values; they never pass through a float. Its type is that of the default: int for a
// plain constant, else as given, Int("id", int64(0)).
func Int[T Integer](name string, fallback T) *Key[T] {
	return declare(name, events.Int, fallback, parseInt[T])
}

// Float declares a key with finite float64 values.
func Float(name string, fallback float64) *Key[float64] {
	return declare(name, events.Float, fallback, parseFloat)
}

// String declares a key with text values.
func String(name string, fallback string) *Key[string] {
	return declare(name, events.String, fallback, parseString)
}

// Duration declares a key with values such as "1m30s".
func Duration(name string, fallback time.Duration) *Key[time.Duration] {
	return declare(name, events.Duration, fallback, parseDuration)
}

// Size declares a key with values such as "64MiB", or a plain count of bytes; in bytes.
func Size(name string, fallback int64) *Key[int64] {
	return declare(name, events.Size, fallback, parseSize)
}

// JSON declares a key whose values are decoded with encoding/json into a T that was zero: the default is used whole or
// not at all. All who read the key share the decoded value, so what it points to must not be changed.
func JSON[T any](name string, fallback T) *Key[T] {
	return declare(name, events.JSON, fallback, parseJSON[T])
}

func declare[T any](name string, kind events.Kind, fallback T, parse func(events.Value) (T, error)) *Key[T] {
	key, err := events.ParseKey(name)
	if err != nil {
		panic("readmodel: " + err.Error())
	}
	return &Key[T]{name: key, kind: kind, fallback: fallback, parse: parse}
}

// Name is the key's name.
func (k *Key[T]) Name() string { return string(k.name) }

// Get returns the effective value of the key, or the declared default if there is none or it is refused. It does not
// lock and, once a value was decoded, not allocate.
func (k *Key[T]) Get(from Values) T {
	if from == nil {
		return k.fallback
	}
	s := from.Snapshot()
	it := s.item(k.name)
	if it == nil {
		return k.fallback
	}
	if res := k.decode(s, it); res.err == nil {
		return res.value
	}
	return k.fallback
}

// Meta says where a value comes from.
type Meta struct {
	From     string          // the namespace that set it; "default": the definition there; "": the program's declaration
	Revision events.Revision // see [Entry]; 0 if the value is the program's
	Position events.Position
	Err      error // why the namespace's value was refused; it never repeats the value
}

// Lookup is Get that also says where the value comes from.
func (k *Key[T]) Lookup(from Values) (T, Meta) {
	if from == nil {
		return k.fallback, Meta{}
	}
	s := from.Snapshot()
	it := s.item(k.name)
	if it == nil {
		return k.fallback, Meta{}
	}
	res := k.decode(s, it)
	if res.err != nil {
		return k.fallback, Meta{Err: fmt.Errorf("%s/%s: %w", s.namespace, k.name, res.err)}
	}
	return res.value, Meta{From: it.From, Revision: it.Revision, Position: it.Position}
}

func (k *Key[T]) decode(s *Snapshot, it *item) *result[T] {
	res, first := decoded(it, k.kind, k.parse)
	if first && res.err != nil {
		s.log.Warn("value refused", "namespace", s.namespace, "key", k.name, "position", it.Position, "error", res.err)
	}
	return res
}
