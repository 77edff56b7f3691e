package readmodel

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-config/holdfast/events"
)

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

func parseJSON[T any](v events.Value) (T, error) {
	var value T
	if err := unmarshal(v, &value, reflect.TypeFor[T]()); err != nil {
		var zero T
		return zero, err
	}
	return value, nil
}

// unmarshal decodes v into what points to a value of the type. It never repeats the texts of JSON errors: they may quote
// the value.
func unmarshal(v events.Value, into any, typ reflect.Type) error {
	err := json.Unmarshal([]byte(v), into)
	if bad, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && bad.Field != "" {
		return fmt.Errorf("value does not fit %s: member %q is not of its type", typ, bad.Field)
	}
	if err != nil {
		return fmt.Errorf("value does not fit %s", typ)
	}
	return nil
}
