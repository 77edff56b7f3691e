package commands

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/holdfast-config/holdfast/events"
)

// member is a member of a JSON object, its value as written.
type member struct {
	name string
	raw  json.RawMessage
}

// checkJSON says whether data is one JSON text; [splitObject] and [splitArray] take its parts only after that.
func checkJSON(data []byte) error {
	if !utf8.Valid(data) {
		return errors.New("body is not valid UTF-8")
	}
	if json.Valid(data) {
		return nil
	}
	var any json.RawMessage
	err := json.Unmarshal(data, &any) // which says where
	var syntax *json.SyntaxError
	switch {
	case len(data) == 0:
		return errors.New("body is empty")
	case errors.As(err, &syntax) && int(syntax.Offset) < len(data):
		return fmt.Errorf("body is not JSON at byte %d", syntax.Offset)
	case errors.As(err, &syntax), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("body is not JSON: it ends too early")
	}
	return errors.New("body is not JSON")
}

// maxMembers is more than any object of a change set may have, values aside: labels have the most.
const maxMembers = events.MaxLabels

// splitObject returns the members of the object data. Unlike encoding/json it refuses one that is there twice, and a
// name is itself, not any that differs only in case.
func splitObject(data json.RawMessage) ([]member, error) {
	c := cursor{data: data}
	if c.next() != '{' {
		return nil, errors.New("is not an object")
	}
	members := make([]member, 0, 4)
	for c.at++; c.next() != '}'; {
		name, err := unquote(c.value())
		if err != nil {
			return nil, errors.New("has a member whose name is not text")
		}
		for _, m := range members {
			if m.name == name {
				return nil, fmt.Errorf("has the member %q twice", cut(name))
			}
		}
		if len(members) == maxMembers {
			return nil, &events.LimitError{Text: fmt.Sprintf("has more than %d members", maxMembers)}
		}
		c.next()
		c.at++ // the colon
		members = append(members, member{name, c.value()})
		c.comma()
	}
	return members, nil
}

// unquote returns the text of a JSON string. One without escapes is itself.
func unquote(quoted json.RawMessage) (text string, err error) {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1]), nil
	}
	err = json.Unmarshal(quoted, &text)
	return text, err
}

// splitArray returns the elements of the array data.
func splitArray(data json.RawMessage) ([]json.RawMessage, error) {
	c := cursor{data: data}
	if c.next() != '[' {
		return nil, errors.New("is not an array")
	}
	var elements []json.RawMessage
	for c.at++; c.next() != ']'; {
		elements = append(elements, c.value())
		c.comma()
	}
	return elements, nil
}

// cursor walks over valid JSON.
type cursor struct {
	data []byte
	at   int
}

// next skips white space and returns the byte after it.
func (c *cursor) next() byte {
	for c.data[c.at] == ' ' || c.data[c.at] == '\t' || c.data[c.at] == '\n' || c.data[c.at] == '\r' {
		c.at++
	}
	return c.data[c.at]
}

func (c *cursor) comma() {
	if c.next() == ',' {
		c.at++
	}
}

// value returns the next value as written and moves behind it.
func (c *cursor) value() json.RawMessage {
	c.next()
	start := c.at
	for depth := 0; c.at < len(c.data); c.at++ {
		switch c.data[c.at] {
		case '"':
			c.skipString()
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return c.data[start:c.at]
			}
			depth--
		case ',', ':', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return c.data[start:c.at]
			}
		}
	}
	return c.data[start:c.at]
}

// skipString moves to the closing quote of the string that begins here.
func (c *cursor) skipString() {
	for c.at++; c.data[c.at] != '"'; c.at++ {
		if c.data[c.at] == '\\' {
			c.at++
		}
	}
}
