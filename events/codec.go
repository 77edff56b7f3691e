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
	if set, ok := ev.(ValueSet); ok && set.Value == "" { // it would be stored as null, which is a value
		return Stored{}, fmt.Errorf("encode %s of key %q: there is no value", ev.Type(), set.Key)
	}
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
		return decode(s, func(*NamespaceCreated) bool { return true })
	case TypeNamespaceTagged:
		return decode(s, func(ev *NamespaceTagged) bool { return ev.Tag != "" })
	case TypeNamespaceUntagged:
		return decode(s, func(ev *NamespaceUntagged) bool { return ev.Tag != "" })
	case TypeNamespaceRestored:
		return decode(s, func(ev *NamespaceRestored) bool { return ev.Namespace != "" && ev.Revision > 0 && ev.Position > 0 })
	case TypeKeyDefined:
		return decode(s, func(ev *KeyDefined) bool { ev.Key = s.Key; return ev.Definition.Kind != "" })
	case TypeKeyRemoved:
		return KeyRemoved{Key: s.Key}, nil
	case TypeValueSet:
		if v, ok := onlyValue(s.Data); ok {
			return ValueSet{Key: s.Key, Value: v}, nil
		}
		return decode(s, func(ev *ValueSet) bool { ev.Key = s.Key; return ev.Value != "" })
	case TypeValueUnset:
		return ValueUnset{Key: s.Key}, nil
	case TypeEpochBegan:
		return decode(s, func(ev *EpochBegan) bool { return ev.Epoch != "" && ev.Previous != "" })
	}
	return nil, &UnknownTypeError{Type: s.Type}
}

// decode reads the data of an event; finish adds what the data does not hold and says whether the event is whole.
func decode[E Event](s Stored, finish func(*E) bool) (Event, error) {
	var ev E
	if err := json.Unmarshal(s.Data, &ev); err != nil {
		return nil, fmt.Errorf("decode %s of key %q: %w", s.Type, s.Key, err)
	}
	if !finish(&ev) {
		return nil, fmt.Errorf("decode %s of key %q: its data lacks what it is about", s.Type, s.Key)
	}
	return ev, nil
}

// onlyValue returns the value from the data of most events by far, without the JSON decoder: a scalar, and nothing else.
func onlyValue(data []byte) (Value, bool) {
	data, prefixed := bytes.CutPrefix(data, []byte(`{"value":`))
	data, suffixed := bytes.CutSuffix(data, []byte(`}`))
	if !prefixed || !suffixed {
		return "", false
	}
	return plainScalar(data)
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
