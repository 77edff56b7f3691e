package readmodel

import (
	"fmt"
	"slices"
	"sync/atomic"
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
//	var MaxConns = readmodel.Int("db.max_conns", 20, readmodel.Range(1, 500))
//
// What counts is how a value is written, not the kind that the namespace's definition says: a duration key takes the text
// "1m30s" also from a key that was never defined, and a float key takes the value 3. A value is decoded and checked once:
// when it arrives, if the reader knows the key from [Config].Keys or from a read before, else at the first read.
//
// A value that is not written as the declaration says, or that an [Option] refuses, is not used: the last good one of
// this reader stays, or the declared default if there was none. [Key.Lookup] and [Status] say why, and the reader's
// logger is told once.
//
// A process has room for the decoded values of its first 16,384 keys; reading any further key decodes each time.
type Key[T any] struct {
	name     events.Key
	kind     events.Kind
	id       int
	fallback T
	parse    func(events.Value) (T, error)
	options  []Option[T]
}

// Integer are the types that an int key can have. A value out of the type's range is refused.
type Integer interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64
}

// Bool declares a key with values true and false. Like the other declarations it panics if name breaks the rules of
// names (see [events.ParseKey]) or an option refuses the default, since that can only be a mistake in the program.
func Bool(name string, fallback bool, options ...Option[bool]) *Key[bool] {
	return declare(name, events.Bool, fallback, parseBool, options)
}

// Int declares a key with integer values; they never pass through a float. Its type is that of the default: int for a
// plain constant, else as given, Int("id", int64(0)).
func Int[T Integer](name string, fallback T, options ...Option[T]) *Key[T] {
	return declare(name, events.Int, fallback, parseInt[T], options)
}

// Float declares a key with finite float64 values, also written without a fraction.
func Float(name string, fallback float64, options ...Option[float64]) *Key[float64] {
	return declare(name, events.Float, fallback, parseFloat, options)
}

// String declares a key with text values.
func String(name string, fallback string, options ...Option[string]) *Key[string] {
	return declare(name, events.String, fallback, parseString, options)
}

// Enum declares a key whose values are some of a text type's; all of them are given, and the default is one of them:
//
//	var Mode = readmodel.Enum("mode", Safe, Safe, Fast)
func Enum[T ~string](name string, fallback T, values ...T) *Key[T] {
	parse := func(v events.Value) (T, error) {
		s, err := parseString(v)
		return T(s), err
	}
	return declare(name, events.String, fallback, parse, []Option[T]{OneOf(values...)})
}

// Duration declares a key with values such as "1m30s", in the form that [time.ParseDuration] takes.
func Duration(name string, fallback time.Duration, options ...Option[time.Duration]) *Key[time.Duration] {
	return declare(name, events.Duration, fallback, parseDuration, options)
}

// Size declares a key with values such as "64MiB", or a plain count of bytes; in bytes.
func Size(name string, fallback int64, options ...Option[int64]) *Key[int64] {
	return declare(name, events.Size, fallback, parseSize, options)
}

// JSON declares a key whose values are decoded with encoding/json into a T that was zero: the default is used whole or
// not at all. All who read the key share the decoded value, so what it points to must not be changed.
func JSON[T any](name string, fallback T, options ...Option[T]) *Key[T] {
	return declare(name, events.JSON, fallback, parseJSON[T], options)
}

// lastID numbers the keys of a process: a key's number is its place in the tables of decoded values.
var lastID atomic.Int64

func declare[T any](name string, kind events.Kind, fallback T, parse func(events.Value) (T, error), options []Option[T]) *Key[T] {
	key, err := events.ParseKey(name)
	if err != nil {
		panic("readmodel: " + err.Error())
	}
	if err := allow(fallback, options); err != nil {
		panic(fmt.Sprintf("readmodel: key %q: the default is refused: %v", name, err))
	}
	return &Key[T]{
		name: key, kind: kind, id: int(lastID.Add(1) - 1), fallback: fallback, parse: parse, options: slices.Clone(options),
	}
}

// Name is the key's name, as it was declared.
func (k *Key[T]) Name() string { return string(k.name) }

// Get returns the effective value of the key; see [Key] for a value that is refused. It does not lock and, once a value
// was decoded, not allocate.
func (k *Key[T]) Get(from Values) T {
	var s *Snapshot
	switch from := from.(type) { // with the two that are meant, a call through the interface is spared
	case *Reader:
		s = from.Snapshot()
	case *Snapshot:
		s = from
	case nil:
	default:
		s = from.Snapshot()
	}
	if s == nil {
		return k.fallback
	}
	if t := s.decoded.Load(); k.id < len(t.held) {
		if h, ok := t.held[k.id].(*held[T]); ok {
			return h.value
		}
	}
	return k.adopt(s).value
}

// Meta says where a value comes from and how fresh it is.
type Meta struct {
	From     string          // the namespace that set it; "default": the definition there; "": the program's declaration
	Revision events.Revision // see [Entry]; 0 if the value is the program's
	Position events.Position // of the event that gave the value; likewise
	Source   string          // what the reader reads from; "": nothing was read
	// Age is for how long the value has not been confirmed to be the newest: 0 while the reader is live and the snapshot
	// is the one that it shows.
	Age time.Duration
	Err error // why the namespace's newer value was refused; it never repeats the value
}

// Lookup is Get that also says where the value comes from.
func (k *Key[T]) Lookup(from Values) (T, Meta) {
	if from == nil {
		return k.fallback, Meta{}
	}
	s := from.Snapshot()
	if s == nil {
		return k.fallback, Meta{}
	}
	h, ok := s.decoded.Load().at(k.id).(*held[T])
	if !ok {
		h = k.adopt(s)
	}
	var m Meta
	m.Source, m.Age = s.freshness()
	if h.good != nil {
		m.From, m.Revision, m.Position = h.good.From, h.good.Revision, h.good.Position
	}
	if h.refused != nil {
		m.Err = h.refused.Err
	}
	return h.value, m
}

// adopt decodes a key that s was made without, and makes the reader know it from now on.
//
//go:noinline
func (k *Key[T]) adopt(s *Snapshot) *held[T] {
	return s.reader.keys.adopt(k, s).(*held[T])
}

// held is what a reader holds for a key.
type held[T any] struct {
	value   T
	good    *item // that gave the value; nil: the program's declaration did
	seen    *item // the namespace's; another than good if it was refused
	refused *Refused
}

func (h *held[T]) trouble() *Refused { return h.refused }
func (h *held[T]) newest() *item     { return h.seen }

func (k *Key[T]) number() int               { return k.id }
func (k *Key[T]) declaredKind() events.Kind { return k.kind }

func (k *Key[T]) next(before holding, s *Snapshot) holding {
	it := s.item(k.name)
	was, _ := before.(*held[T])
	if was != nil && was.seen == it {
		return was
	}
	now := &held[T]{value: k.fallback, seen: it}
	if it == nil {
		return now
	}
	value, err := k.decode(it.Value)
	if err == nil {
		now.value, now.good = value, it
		return now
	}
	if was != nil {
		now.value, now.good = was.value, was.good
	}
	now.refused = &Refused{
		Key: k.name, Revision: it.Revision, Position: it.Position, Err: fmt.Errorf("%s/%s: %w", s.Namespace(), k.name, err),
	}
	return now
}

// decode runs what the program brings along, its decoders and checks, and survives their panics.
func (k *Key[T]) decode(v events.Value) (value T, err error) {
	defer func() {
		if p := recover(); p != nil { // its text may hold the value
			err = fmt.Errorf("value could not be decoded: panic with a %T", p)
		}
	}()
	if value, err = k.parse(v); err == nil {
		err = allow(value, k.options)
	}
	return value, err
}
