package readmodel

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Option narrows what the values of a key may be, beyond the definition in the namespace: what this program can work with.
// A value that it refuses is not used, see [Key]. A default that it refuses is a mistake in the program: declaring panics.
type Option[T any] struct{ check func(T) error }

// Range allows values from low to high, both included. The type is that of the key: Range(1, 500) for an int,
// Range(0.0, 1.0) for a float, Range[int64](0, 1<<30) for a size.
func Range[T cmp.Ordered](low, high T) Option[T] {
	return Option[T]{func(v T) error {
		if v < low || v > high {
			return fmt.Errorf("value is not between %v and %v", low, high)
		}
		return nil
	}}
}

// OneOf allows these values only.
func OneOf[T comparable](values ...T) Option[T] {
	values = slices.Clone(values)
	return Option[T]{func(v T) error {
		if !slices.Contains(values, v) {
			return fmt.Errorf("value is none of %v", values)
		}
		return nil
	}}
}

// Check allows the values for which fn returns nil. The text of its error goes into logs and reports, so it must not
// repeat the value. It runs once when a value arrives, and delays it: fn only looks at what it is given, and does not
// read from a [Reader]. A panic refuses the value.
func Check[T any](fn func(T) error) Option[T] {
	if fn == nil {
		panic("readmodel: Check without a function")
	}
	return Option[T]{fn}
}

// allow returns why one of the options refuses v.
func allow[T any](v T, options []Option[T]) error {
	for _, o := range options {
		if o.check == nil {
			return errors.New("an Option is made with Range, OneOf or Check")
		}
		if err := o.check(v); err != nil {
			return err
		}
	}
	return nil
}
