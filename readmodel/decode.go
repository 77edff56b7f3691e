package readmodel

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/holdfast-config/holdfast/events"
)

// decodings are what the typed keys have made of one entry: one for each kind and Go type, made once, when first asked
// for. Programs declare a key once or twice, so that the list stays short.
type decodings struct{ first atomic.Pointer[decoding] }

type decoding struct {
	kind   events.Kind
	result any // *result[T]
	next   *decoding
}

type result[T any] struct {
	value T
	err   error
}

// decoded returns what the entry is as a T of the kind, from parse the first time.
func decoded[T any](it *item, kind events.Kind, parse func(events.Value) (T, error)) (res *result[T], first bool) {
	for {
		top := it.decoded.first.Load()
		for d := top; d != nil; d = d.next {
			if res, ok := d.result.(*result[T]); ok && d.kind == kind {
				return res, false
			}
		}
		value, err := parse(it.Value)
		res := &result[T]{value, err}
		if it.decoded.first.CompareAndSwap(top, &decoding{kind, res, top}) {
			return res, true
		}
	}
}

func parseBool(v events.Value) (bool, error) {
	switch v {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, errors.New("value is not a bool")
}

func parseInt[T Integer](v events.Value) (T, error) {
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil {
		return 0, errors.New("value is not an int")
	}
	if int64(T(n)) != n {
		return 0, fmt.Errorf("value is out of the range of %T", T(0))
	}
	return T(n), nil
}

func parseFloat(v events.Value) (float64, error) {
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return 0, errors.New("value is not a float")
	}
	return f, nil
}

func parseString(v events.Value) (string, error) {
	var s *string
	if err := json.Unmarshal([]byte(v), &s); err != nil || s == nil {
		return "", errors.New("value is not a string")
	}
	return *s, nil
}

func parseDuration(v events.Value) (time.Duration, error) {
	s, err := parseString(v)
	if err == nil {
		d, err := time.ParseDuration(s)
		if err == nil {
			return d, nil
		}
	}
	return 0, errors.New(`value is not a duration, such as "1m30s"`)
}

// sizes are the units of a size; each is 1024 of the one before.
var sizes = []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}

func parseSize(v events.Value) (int64, error) {
	bad := errors.New(`value is not a size, such as "64MiB"`)
	s := string(v)
	if strings.HasPrefix(s, `"`) {
		s, _ = parseString(v)
	}
	digits := strings.TrimRight(s, "BKMGTPEi")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || digits[0] == '+' {
		return 0, bad
	}
	unit := s[len(digits):]
	if unit == "" {
		return n, nil
	}
	for i, name := range sizes {
		if unit == name {
			if n > math.MaxInt64>>(10*i) {
				return 0, bad
			}
			return n << (10 * i), nil
		}
	}
	return 0, bad
}

// parseJSON never repeats the texts of JSON errors: they may quote the value.
func parseJSON[T any](v events.Value) (T, error) {
	var value T
	err := json.Unmarshal([]byte(v), &value)
	if err == nil {
		return value, nil
	}
	var zero T
	if bad, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && bad.Field != "" {
		return zero, fmt.Errorf("value does not fit %T: member %q is not of its type", zero, bad.Field)
	}
	return zero, fmt.Errorf("value does not fit %T", zero)
}
