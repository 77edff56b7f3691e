package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Value is canonical JSON: no white space, object members sorted by name, none twice, strings with the fewest escapes,
// integers digit by digit as they were written, other numbers as the shortest text of their float64. Equal values have
// equal bytes. The zero Value means that there is none; JSON null is the Value "null".
type Value string

// ParseValue returns the canonical form of the JSON text data. It refuses what is not exactly one JSON value, invalid
// UTF-8 and unpaired surrogates, an object with a member twice, a number out of float64's range, and values over
// [MaxValueBytes] or [MaxValueDepth]. Error texts never repeat the value.
func ParseValue(data []byte) (Value, error) {
	if len(data) > 2*MaxValueBytes { // white space and escapes may shrink, but not without bound
		return "", tooLarge(len(data))
	}
	if v, ok := plainScalar(data); ok {
		if len(v) > MaxValueBytes {
			return "", tooLarge(len(v))
		}
		return v, nil
	}
	if !utf8.Valid(data) {
		return "", errors.New("value is not valid UTF-8")
	}
	if at := loneSurrogate(data); at >= 0 {
		return "", fmt.Errorf("value has an unpaired surrogate escape at byte %d", at)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	b, err := appendValue(make([]byte, 0, len(data)), dec, 0)
	if err != nil {
		return "", err
	}
	if _, err := dec.Token(); err != io.EOF {
		return "", fmt.Errorf("value goes on after its end, at byte %d", dec.InputOffset())
	}
	if len(b) > MaxValueBytes {
		return "", tooLarge(len(b))
	}
	return Value(b), nil
}

// FloatValue returns the canonical form of f, which must be finite.
func FloatValue(f float64) Value {
	if f == math.Trunc(f) && math.Abs(f) < maxExactFloat {
		return Value(strconv.FormatInt(int64(f), 10))
	}
	if abs := math.Abs(f); abs >= 1e-6 && abs < maxExactFloat {
		return Value(strconv.FormatFloat(f, 'f', -1, 64))
	}
	return Value(strconv.FormatFloat(f, 'e', -1, 64))
}

// maxExactFloat is 2^53: below it, a float64 that is written like an integer is that integer.
const maxExactFloat = 1 << 53

// MarshalJSON returns the value itself.
func (v Value) MarshalJSON() ([]byte, error) {
	if v == "" {
		return []byte("null"), nil
	}
	return []byte(v), nil
}

// UnmarshalJSON parses with [ParseValue].
func (v *Value) UnmarshalJSON(data []byte) error {
	parsed, err := ParseValue(data)
	if err != nil {
		return err
	}
	*v = parsed
	return nil
}

func tooLarge(n int) error {
	return &LimitError{fmt.Sprintf("value is %d bytes, more than %d", n, MaxValueBytes)}
}

func appendValue(b []byte, dec *json.Decoder, depth int) ([]byte, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, notJSON(dec, err)
	}
	switch tok := tok.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, tok), nil
	case string:
		return appendString(b, tok)
	case json.Number:
		return appendNumber(b, tok.String())
	case json.Delim:
		if depth == MaxValueDepth {
			return nil, &LimitError{fmt.Sprintf("value is nested deeper than %d", MaxValueDepth)}
		}
		if tok == '[' {
			return appendArray(b, dec, depth+1)
		}
		return appendObject(b, dec, depth+1)
	}
	return nil, fmt.Errorf("value is not JSON at byte %d", dec.InputOffset())
}

func appendArray(b []byte, dec *json.Decoder, depth int) (_ []byte, err error) {
	b = append(b, '[')
	for i := 0; dec.More(); i++ {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = appendValue(b, dec, depth); err != nil {
			return nil, err
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, notJSON(dec, err)
	}
	return append(b, ']'), nil
}

func appendObject(b []byte, dec *json.Decoder, depth int) (_ []byte, err error) {
	members := map[string][]byte{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, notJSON(dec, err)
		}
		name := tok.(string)
		if _, twice := members[name]; twice {
			return nil, fmt.Errorf("value has an object with the same member twice, at byte %d", dec.InputOffset())
		}
		if members[name], err = appendValue(nil, dec, depth); err != nil {
			return nil, err
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, notJSON(dec, err)
	}
	b = append(b, '{')
	for i, name := range slices.Sorted(maps.Keys(members)) {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = appendString(b, name); err != nil {
			return nil, err
		}
		b = append(append(b, ':'), members[name]...)
	}
	return append(b, '}'), nil
}

func appendString(b []byte, s string) ([]byte, error) {
	text, err := marshal(s)
	return append(b, text...), err
}

// appendNumber keeps integers as written and gives other numbers their shortest float64 text. A float that is written
// like an integer keeps that form only below 2^53, where it is exact; above, an exponent marks it, so that it can not
// pass for an int.
func appendNumber(b []byte, s string) ([]byte, error) {
	const surelyInRange = 300 // digits
	if isInteger(s) && len(s) < surelyInRange {
		if s == "-0" {
			s = "0"
		}
		return append(b, s...), nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil, errors.New("value has a number out of the range of a float64")
	}
	if isInteger(s) {
		return append(b, s...), nil
	}
	return append(b, FloatValue(f)...), nil
}

func notJSON(dec *json.Decoder, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("value is not JSON: it ends too early")
	}
	return fmt.Errorf("value is not JSON at byte %d", dec.InputOffset())
}

// loneSurrogate returns the offset of a \u escape that is half of a surrogate pair without the other, or -1. The JSON
// decoder would replace it in silence.
func loneSurrogate(data []byte) int {
	for i := 0; i+1 < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		r, ok := unicodeEscape(data[i:])
		switch {
		case !ok || r < 0xD800 || r > 0xDFFF:
			i++ // skip the escaped byte, which may be a backslash
		case r >= 0xDC00:
			return i
		default:
			low, ok := unicodeEscape(data[min(i+6, len(data)):])
			if !ok || low < 0xDC00 || low > 0xDFFF {
				return i
			}
			i += 11
		}
	}
	return -1
}

func unicodeEscape(b []byte) (uint64, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	r, err := strconv.ParseUint(string(b[2:6]), 16, 32)
	return r, err == nil
}
