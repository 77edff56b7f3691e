package view

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/holdfast-config/holdfast/events"
)

// The members of an entry in the order in which EncodeEntry writes them. DecodeEntry looks for just this form first: a
// view of 100,000 keys is decoded whole whenever a reader starts.
const (
	openValue    = `{"value":`
	openKind     = `,"kind":"`
	openRevision = `","revision":`
	openPosition = `,"position":`
	openFrom     = `,"from":"`
	openMasked   = `","sensitive":true}`
	closeEntry   = `"}`
)

// EncodeEntry turns an entry into a field of the values hash.
func EncodeEntry(e Entry) []byte {
	b := make([]byte, 0, len(openValue)+len(e.Value)+len(e.Kind)+len(e.From)+100)
	b = append(b, openValue...)
	if e.Value == "" {
		b = append(b, "null"...)
	}
	b = append(append(b, e.Value...), openKind...)
	b = append(appendText(b, string(e.Kind)), openRevision...)
	b = append(strconv.AppendInt(b, int64(e.Revision), 10), openPosition...)
	b = append(strconv.AppendInt(b, int64(e.Position), 10), openFrom...)
	b = appendText(b, e.From)
	if e.Sensitive {
		return append(b, openMasked...)
	}
	return append(b, closeEntry...)
}

// appendText appends s as it stands between the quotes of a JSON string.
func appendText(b []byte, s string) []byte {
	if isPlain(s) {
		return append(b, s...)
	}
	quoted, _ := json.Marshal(s) // of a string never fails
	return append(b, quoted[1:len(quoted)-1]...)
}

// DecodeEntry reverses EncodeEntry. It takes the members in any order and ignores those it does not know. It fails for what
// is not JSON of this form or has no value; the error repeats nothing of data.
func DecodeEntry(data []byte) (Entry, error) { return decodeEntry(string(data)) }

func decodeEntry(s string) (Entry, error) {
	if e, ok := cutEntry(s); ok {
		return e, nil
	}
	var e Entry
	if err := json.Unmarshal([]byte(s), &e); err != nil {
		return Entry{}, fmt.Errorf("decode entry: %w", withoutText(err))
	}
	if e.Value == "" {
		return Entry{}, errors.New("decode entry: it has no value")
	}
	return e, nil
}

// cutEntry decodes what EncodeEntry wrote, without a JSON parser for all but values that are objects, arrays or strings
// with escapes. The value comes first, so the last place that opens a kind ends it, whatever text the value holds:
// within a JSON string each quote has a backslash.
func cutEntry(s string) (e Entry, ok bool) {
	s, ok = strings.CutPrefix(s, openValue)
	at := strings.LastIndex(s, openKind)
	if !ok || at < 0 {
		return e, false
	}
	value, s := s[:at], s[at+len(openKind):]
	kind, s, ok := strings.Cut(s, openRevision)
	if !ok || !isPlain(kind) {
		return e, false
	}
	revision, s, ok := cutInt(s, openPosition)
	if !ok {
		return e, false
	}
	position, s, ok := cutInt(s, openFrom)
	if !ok {
		return e, false
	}
	from, masked := strings.CutSuffix(s, openMasked)
	if !masked {
		from, ok = strings.CutSuffix(s, closeEntry)
	}
	if !ok || !isPlain(from) || !isJSON(value) {
		return e, false
	}
	return Entry{
		// Clones, so that an entry that is kept does not keep the text it came in.
		Value: events.Value(strings.Clone(value)), Kind: internKind(kind), From: strings.Clone(from),
		Revision: events.Revision(revision), Position: events.Position(position), Sensitive: masked,
	}, true
}

func cutInt(s, end string) (n int64, rest string, ok bool) {
	digits, rest, ok := strings.Cut(s, end)
	if !ok {
		return 0, "", false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, rest, err == nil && n >= 0 && digits[0] != '+'
}

// isJSON says whether s is one JSON value without space around it.
func isJSON(s string) bool {
	switch {
	case s == "":
		return false
	case s == "true", s == "false", s == "null":
		return true
	case s[0] == '"' && len(s) > 1 && isPlain(s[1:len(s)-1]) && s[len(s)-1] == '"':
		return true
	case isDigits(s):
		return true
	case isSpace(s[0]) || isSpace(s[len(s)-1]):
		return false
	}
	return json.Valid([]byte(s))
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s[0] != '0' || len(s) == 1
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// isPlain says whether s stands for itself between the quotes of a JSON string.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func internKind(s string) events.Kind {
	for _, k := range events.Kinds {
		if string(k) == s {
			return k
		}
	}
	return events.Kind(strings.Clone(s))
}

// withoutText keeps the texts that JSON errors quote from their input out of logs: they may be part of a value.
func withoutText(err error) error {
	if syntax, ok := err.(*json.SyntaxError); ok {
		return fmt.Errorf("not JSON at byte %d", syntax.Offset)
	}
	if typ, ok := err.(*json.UnmarshalTypeError); ok {
		return fmt.Errorf("member %q is not of its type", typ.Field)
	}
	if value, ok := err.(*json.MarshalerError); ok {
		return fmt.Errorf("a %s is not JSON", value.Type)
	}
	return err
}
