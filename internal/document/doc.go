// Package document reads and writes configuration as files: our own document, which says all that a namespace holds
// itself, and the plain formats that others write (YAML, JSON, .env, properties). It is pure: bytes in, bytes out.
//
//	holdfast: 1                      # version of the form
//	namespace: postgres.main         # optional, as are all that follow
//	open: false
//	description: the main database
//	labels: {team: storage}
//	definitions:
//	  work_mem: {kind: int, default: 4096, min: 64, max: 2147483647, unit: kB}
//	values:
//	  work_mem: 8192
//
// Our own document is written as YAML or JSON and read back exactly: numbers are taken by their text and never pass
// through a float. What is wrong with a file is said with the line it stands in, all of it at once, and never with a
// value.
package document

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/holdfast-config/holdfast/events"
)

// Document is what a file says about a namespace.
type Document struct {
	Namespace   events.Namespace                 `json:"namespace,omitzero"` // empty: the file does not name one
	Open        bool                             `json:"open,omitzero"`
	Description string                           `json:"description,omitzero"`
	Labels      map[string]string                `json:"labels,omitempty"`
	Definitions map[events.Key]events.Definition `json:"definitions,omitempty"`
	Values      map[events.Key]events.Value      `json:"values,omitempty"`

	// Plain says that the file is in none of our own forms: it has values and nothing else.
	Plain bool `json:"-"`
	// Untyped says that the file's format has only text: Values are JSON strings until [Document.Interpret].
	Untyped bool `json:"-"`
}

// Format is how a file is written.
type Format string

// The formats. Auto is one of the others, by the file's name and, for YAML and JSON, by whether it is our own document.
const (
	Auto       Format = "auto"
	Holdfast   Format = "holdfast" // our own, as YAML or JSON
	YAML       Format = "yaml"
	JSON       Format = "json"
	Env        Format = "env"
	Properties Format = "properties"
)

// Formats are all formats, in the order in which they are documented.
var Formats = []Format{Auto, Holdfast, YAML, JSON, Env, Properties}

// MaxBytes bounds a file that is read.
const MaxBytes = 64 << 20

// Error is something wrong in a file.
type Error struct {
	Line int    // from 1; 0: the file as a whole
	Path string // dotted path to the place: "definitions.work_mem.min"; may be empty
	Err  error
}

func (e *Error) Error() string {
	text := e.Err.Error()
	if e.Path != "" {
		text = e.Path + ": " + text
	}
	if e.Line > 0 {
		text = fmt.Sprintf("line %d: %s", e.Line, text)
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// Read reads a file. The name is only looked at for [Auto]; "-" is standard input, where YAML is assumed, or JSON if the
// text starts with a brace. The error joins an [*Error] for each thing that is wrong, up to 20.
func Read(name string, data []byte, format Format) (*Document, error) {
	if len(data) > MaxBytes {
		return nil, &Error{Err: fmt.Errorf("file is %d bytes, more than %d", len(data), MaxBytes)}
	}
	auto := format == Auto
	if auto {
		var err error
		if format, err = formatOf(name, data); err != nil {
			return nil, err
		}
	}
	switch format {
	case Env:
		return readText(parseEnv(data))
	case Properties:
		return readText(parseProperties(data))
	case YAML, JSON, Holdfast:
		root, err := parse(data, format == JSON || format == Holdfast && startsWithBrace(data))
		if err != nil {
			return nil, err
		}
		if format == Holdfast || auto && isOwn(root) {
			return readOwn(root)
		}
		return readPlain(root)
	}
	return nil, fmt.Errorf("unknown format %q; it is one of %s", format, joinFormats(Formats))
}

func formatOf(name string, data []byte) (Format, error) {
	base := filepath.Base(name)
	switch ext := strings.ToLower(filepath.Ext(base)); {
	case ext == ".yaml" || ext == ".yml" || name == "-" && !startsWithBrace(data):
		return YAML, nil
	case ext == ".json" || name == "-":
		return JSON, nil
	case ext == ".env" || strings.HasPrefix(base, ".env"):
		return Env, nil
	case ext == ".properties":
		return Properties, nil
	}
	return "", fmt.Errorf("%q does not tell the format of the file; say which it is: %s", base, joinFormats(Formats[1:]))
}

func joinFormats(formats []Format) string {
	var names []string
	for _, f := range formats {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}

func startsWithBrace(data []byte) bool {
	return strings.HasPrefix(strings.TrimLeft(string(data[:min(len(data), 1024)]), " \t\r\n\ufeff"), "{")
}

// problems collects what is wrong in a file, in the order of its lines.
type problems []*Error

const maxProblems = 20

func (p *problems) add(line int, path string, err error) {
	*p = append(*p, &Error{Line: line, Path: path, Err: err})
}

func (p problems) err() error {
	slices.SortStableFunc(p, func(a, b *Error) int { return a.Line - b.Line })
	var errs []error
	for i, e := range p {
		if i == maxProblems {
			errs = append(errs, fmt.Errorf("and %d more", len(p)-i))
			break
		}
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}
