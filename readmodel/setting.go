package readmodel

import (
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/holdfast-config/holdfast/events"
)

// Setting is a value for a key, as it is stored: what tests put into a namespace, see package readmodeltest.
type Setting struct {
	Key   events.Key
	Kind  events.Kind  // as the namespace would define it
	Value events.Value // canonical JSON
	Of    Declared     // the key, as it was declared; may be nil
}

// Value returns v as a setting of the key. It is not checked against the key's options, so that a test can set what the
// program refuses. It panics if v has no JSON form.
func (k *Key[T]) Value(v T) Setting {
	text, err := json.Marshal(k.stored(v))
	if err == nil {
		var value events.Value
		if value, err = events.ParseValue(text); err == nil {
			return Setting{Key: k.name, Kind: k.kind, Value: value, Of: k}
		}
	}
	panic(fmt.Sprintf("readmodel: key %q: a %T has no stored form: %v", k.name, v, err))
}

// stored returns what to encode as JSON for v: the plain number or text, whatever methods its type has.
func (k *Key[T]) stored(v T) any {
	switch k.kind {
	case events.Int, events.Size:
		return reflect.ValueOf(v).Int()
	case events.String:
		return reflect.ValueOf(v).String()
	case events.Duration:
		return time.Duration(reflect.ValueOf(v).Int()).String()
	}
	return v
}
