package events

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Stored is an event as a row holds it: its type, the key it is about (empty: the namespace) and the rest as JSON.
type Stored struct {
	Type string
	Key  Key
	Data []byte
}

// UnknownTypeError is returned by [Decode] for a type that this program does not know. A newer program wrote it: whoever
// reads the log must stop there and be upgraded, since skipping the event would make every later state wrong.
type UnknownTypeError struct{ Type string }

func (e *UnknownTypeError) Error() string {
	return fmt.Sprintf("event type %q is not known to this version of holdfast; upgrade this program before it reads on", e.Type)
}

// Encode returns the stored form of ev. Equal events have equal bytes.
func Encode(ev Event) (Stored, error) {
	data, err := marshal(ev)
	if err != nil {
		return Stored{}, fmt.Errorf("encode %s: %w", ev.Type(), err)
	}
	return Stored{Type: ev.Type(), Key: KeyOf(ev), Data: data}, nil
}

// Decode returns the event that s stores. It fails with [*UnknownTypeError] for a type it does not know, and on data
// that is not of the type's form.
func Decode(s Stored) (Event, error) {
	switch s.Type {
	case TypeNamespaceCreated:
		return decode(s, func(*NamespaceCreated) {})
	case TypeKeyDefined:
		return decode(s, func(ev *KeyDefined) { ev.Key = s.Key })
	case TypeKeyRemoved:
		return KeyRemoved{Key: s.Key}, nil
	case TypeValueSet:
		return decode(s, func(ev *ValueSet) { ev.Key = s.Key })
	case TypeValueUnset:
		return ValueUnset{Key: s.Key}, nil
	}
	return nil, &UnknownTypeError{Type: s.Type}
}

func decode[E Event](s Stored, finish func(*E)) (Event, error) {
	var ev E
	if err := json.Unmarshal(s.Data, &ev); err != nil {
		return nil, fmt.Errorf("decode %s of key %q: %w", s.Type, s.Key, err)
	}
	finish(&ev)
	return ev, nil
}

// marshal is json.Marshal without the escapes for HTML, so that the stored text is the canonical value itself.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
