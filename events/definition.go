package events

import (
	"maps"
	"slices"
)

// Kind is the type of a setting.
type Kind string

// The kinds and how their values are written in canonical JSON.
const (
	Bool     Kind = "bool"     // true, false
	Int      Kind = "int"      // -9223372036854775808 … 9223372036854775807, never through a float
	Float    Kind = "float"    // a finite float64
	String   Kind = "string"   // "text"
	Duration Kind = "duration" // "1m30s": units ns, us, ms, s, m, h; nanoseconds in an int64
	Size     Kind = "size"     // "64MiB": units B, KiB, MiB, GiB, TiB, PiB, EiB; bytes in an int64, not negative
	JSON     Kind = "json"     // any JSON value
)

// Kinds are all kinds, in the order in which they are documented.
var Kinds = []Kind{Bool, Int, Float, String, Duration, Size, JSON}

// Definition says what a key may hold. It is inherited by the namespaces below, whole: a definition there replaces it.
// Whether a definition makes sense is checked by config.CheckDefinition.
type Definition struct {
	Kind Kind `json:"kind"`
	// Default is the effective value where no value is set; absent: the key then has none.
	Default Value `json:"default,omitzero"`
	// Min and Max are inclusive bounds, written as values of the kind; for kinds int, float, duration, size.
	Min Value `json:"min,omitzero"`
	Max Value `json:"max,omitzero"`
	// Enum lists the only values allowed.
	Enum []Value `json:"enum,omitempty"`
	// Pattern is a regular expression (RE2) that a string must match, anywhere unless anchored; for kind string.
	Pattern string `json:"pattern,omitzero"`
	// Schema is a JSON Schema (2020-12) without remote references; for kind json.
	Schema Value `json:"schema,omitzero"`
	// Unit is what a number counts ("kB", "requests"), for people.
	Unit        string `json:"unit,omitzero"`
	Description string `json:"description,omitzero"`
	Group       string `json:"group,omitzero"`
	// Requires lists keys that must exist wherever this key does.
	Requires []Key `json:"requires,omitempty"`
	// Sensitive values are masked wherever they would be shown to someone who may not see them.
	Sensitive bool              `json:"sensitive,omitzero"`
	Labels    map[string]string `json:"labels,omitempty"`
}

// Equal says whether d and other are the same definition.
func (d Definition) Equal(other Definition) bool {
	return d.Kind == other.Kind && d.Default == other.Default && d.Min == other.Min && d.Max == other.Max &&
		slices.Equal(d.Enum, other.Enum) && d.Pattern == other.Pattern && d.Schema == other.Schema &&
		d.Unit == other.Unit && d.Description == other.Description && d.Group == other.Group &&
		slices.Equal(d.Requires, other.Requires) && d.Sensitive == other.Sensitive && maps.Equal(d.Labels, other.Labels)
}
