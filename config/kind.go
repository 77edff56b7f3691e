package config

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-config/holdfast/events"
)

// Why a value is not of its kind.
var (
	errNotBool     = errors.New("is not a bool (true or false)")
	errNotInt      = errors.New("is not an int (a whole number between -9223372036854775808 and 9223372036854775807)")
	errNotFloat    = errors.New("is not a float (a finite number)")
	errNotString   = errors.New("is not a string")
	errNotDuration = errors.New(`is not a duration (a string such as "1m30s"; units ns, us, ms, s, m, h)`)
	errNotSize     = errors.New(`is not a size (a string such as "64MiB", or a number of bytes; units B, KiB … EiB, kB … EB)`)
	errNoValue     = errors.New("has no value")
)

// Canonical returns v as a value of kind is written: an int's digits, a float's shortest text, a duration as "1m30s", a
// size as "64MiB" (a bare integer counts bytes). It fails when v is not of the kind; the text does not repeat v.
func Canonical(kind events.Kind, v events.Value) (events.Value, error) {
	canonical, _, err := measure(kind, v)
	return canonical, err
}

// Infer returns the kind that a value has where nothing defines its key: bool, int, float, string or json. A whole
// number that is no int64 is json, which keeps all its digits.
func Infer(v events.Value) events.Kind {
	switch {
	case v == "true" || v == "false":
		return events.Bool
	case v != "" && v[0] == '"':
		return events.String
	case !isNumber(v):
		return events.JSON
	case strings.ContainsAny(string(v), ".e"):
		return events.Float
	}
	if _, err := strconv.ParseInt(string(v), 10, 64); err != nil {
		return events.JSON
	}
	return events.Int
}

// measured is a value of an ordered kind as bounds compare it: the int, the nanoseconds, the bytes, or the float.
type measured struct {
	n int64
	f float64
}

func (m measured) less(other measured) bool { return m.n < other.n || m.f < other.f }

// ordered says whether the values of a kind have an order, so that bounds make sense.
func ordered(kind events.Kind) bool {
	switch kind {
	case events.Int, events.Float, events.Duration, events.Size:
		return true
	}
	return false
}

// measure is Canonical, and the measure of the value where the kind has an order.
func measure(kind events.Kind, v events.Value) (events.Value, measured, error) {
	if v == "" {
		return "", measured{}, errNoValue
	}
	switch kind {
	case events.Bool:
		if v != "true" && v != "false" {
			return "", measured{}, errNotBool
		}
	case events.Int:
		return measureInt(v)
	case events.Float:
		return measureFloat(v)
	case events.String:
		if v[0] != '"' {
			return "", measured{}, errNotString
		}
	case events.Duration:
		return measureDuration(v)
	case events.Size:
		return measureSize(v)
	case events.JSON:
	default:
		return "", measured{}, errUnknownKind
	}
	return v, measured{}, nil
}

func measureInt(v events.Value) (events.Value, measured, error) {
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil || !isNumber(v) {
		return "", measured{}, errNotInt
	}
	return v, measured{n: n}, nil
}

func measureFloat(v events.Value) (events.Value, measured, error) {
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil || !isNumber(v) || math.IsInf(f, 0) {
		return "", measured{}, errNotFloat
	}
	return events.FloatValue(f), measured{f: f}, nil
}

func measureDuration(v events.Value) (events.Value, measured, error) {
	s, ok := text(v)
	if !ok {
		return "", measured{}, errNotDuration
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return "", measured{}, errNotDuration
	}
	return quote(formatDuration(d)), measured{n: int64(d)}, nil
}

// formatDuration writes d with no unit that counts zero: 1h, not 1h0m0s.
func formatDuration(d time.Duration) string {
	s := strings.Replace(d.String(), "µs", "us", 1)
	s = strings.Replace(s, "h0m", "h", 1)
	if strings.HasSuffix(s, "h0s") || strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	return s
}

func measureSize(v events.Value) (events.Value, measured, error) {
	s := string(v)
	if !isNumber(v) {
		var ok bool
		if s, ok = text(v); !ok {
			return "", measured{}, errNotSize
		}
	}
	n, ok := parseSize(s)
	if !ok {
		return "", measured{}, errNotSize
	}
	return quote(formatSize(n)), measured{n: n}, nil
}

var binaryUnits = [...]string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}

// units are what a size may be written with, in lower case, and how many bytes each is.
var units = map[string]int64{
	"": 1, "b": 1,
	"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40, "pib": 1 << 50, "eib": 1 << 60,
	"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "pb": 1e15, "eb": 1e18,
}

func parseSize(s string) (int64, bool) {
	digits := 0
	for digits < len(s) && '0' <= s[digits] && s[digits] <= '9' {
		digits++
	}
	n, err := strconv.ParseInt(s[:digits], 10, 64)
	unit, known := units[strings.ToLower(strings.TrimLeft(s[digits:], " "))]
	if err != nil || !known || n > math.MaxInt64/unit {
		return 0, false
	}
	return n * unit, true
}

// formatSize writes n with the largest binary unit that divides it evenly.
func formatSize(n int64) string {
	unit := 0
	for n != 0 && n%1024 == 0 && unit < len(binaryUnits)-1 {
		n, unit = n/1024, unit+1
	}
	return strconv.FormatInt(n, 10) + binaryUnits[unit]
}

func isNumber(v events.Value) bool { return v != "" && (v[0] == '-' || '0' <= v[0] && v[0] <= '9') }

// quote makes a JSON string of s, which needs no escapes.
func quote(s string) events.Value { return events.Value(`"` + s + `"`) }

// text returns what v says if it is a JSON string.
func text(v events.Value) (string, bool) {
	if len(v) < 2 || v[0] != '"' {
		return "", false
	}
	if !strings.Contains(string(v), `\`) {
		return string(v[1 : len(v)-1]), true
	}
	var s string
	err := json.Unmarshal([]byte(v), &s)
	return s, err == nil
}
