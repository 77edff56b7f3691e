package config

import "github.com/holdfast-config/holdfast/events"

// Canonical returns v as a value of kind is written: an int's digits, a float's shortest text, a duration as "1m30s", a
// size as "64MiB" (a bare integer counts bytes). It fails when v is not of the kind; the text does not repeat v.
func Canonical(kind events.Kind, v events.Value) (events.Value, error) { panic("unwritten") }

// Infer returns the kind that a value has where nothing defines its key: bool, int, float, string or json.
func Infer(v events.Value) events.Kind { panic("unwritten") }

// CheckDefinition returns d in canonical form, or every reason why it makes no sense (errors.Join): unknown kind, bounds
// for a kind without an order, min above max, a default that it forbids itself, a pattern or schema that does not compile.
func CheckDefinition(d events.Definition) (events.Definition, error) { panic("unwritten") }

// Check returns v in canonical form if the definition allows it, else an error that names the bound, the pattern, the
// choices or the place in the schema, and never the value.
func (d *Definition) Check(v events.Value) (events.Value, error) { panic("unwritten") }
