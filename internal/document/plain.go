package document

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/magiconair/properties"
	"go.yaml.in/yaml/v3"

	"github.com/holdfast-config/holdfast/events"
)

// maxSettings bounds what a file of YAML aliases can unfold into.
const maxSettings = 1_000_000

// plainReader turns nested names into keys.
type plainReader struct {
	values map[events.Key]events.Value
	lines  map[events.Key]int
	problems
}

func newPlainReader() *plainReader {
	return &plainReader{values: map[events.Key]events.Value{}, lines: map[events.Key]int{}}
}

// readPlain reads nested mappings: {db: {host: x}} is the key db.host. Lists, and mappings without members, are values.
func readPlain(root *yaml.Node) (*Document, error) {
	root = deref(root)
	if root.Kind != yaml.MappingNode {
		return nil, &Error{Line: root.Line, Err: errors.New("the file is not a mapping of names to values")}
	}
	r := newPlainReader()
	r.mapping(root, nil)
	return r.document(false)
}

func (r *plainReader) mapping(n *yaml.Node, path []string) {
	if len(path) > maxDepth {
		r.add(n.Line, path[0], errDepth)
		return
	}
	list, err := members(n)
	if err != nil {
		r.problem(n.Line, strings.Join(path, "."), err)
		return
	}
	for _, m := range list {
		if len(r.values) > maxSettings || len(r.problems) > maxProblems {
			r.add(m.line, "", fmt.Errorf("has more than %d settings, or too much is wrong; it is read no further", maxSettings))
			return
		}
		path := append(path[:len(path):len(path)], m.name)
		if m.value.Kind == yaml.MappingNode && len(m.value.Content) > 0 {
			r.mapping(m.value, path)
			continue
		}
		v, err := valueOf(m.value)
		if err != nil {
			r.problem(m.line, strings.Join(path, "."), err)
			continue
		}
		r.set(strings.Join(path, "."), m.line, v)
	}
}

func (r *plainReader) problem(line int, path string, err error) {
	if inner := new(Error); errors.As(err, &inner) && inner.Line > 0 {
		line, err = inner.Line, inner.Err
	}
	r.add(line, path, err)
}

func (r *plainReader) set(name string, line int, v events.Value) {
	key, err := events.ParseKey(name)
	if err != nil {
		r.add(line, "", fmt.Errorf("the name can not be a key: %w", err))
		return
	}
	if first, twice := r.lines[key]; twice {
		r.add(line, name, fmt.Errorf("is given again; first in line %d", first))
		return
	}
	r.values[key], r.lines[key] = v, line
}

func (r *plainReader) document(untyped bool) (*Document, error) {
	if err := r.err(); err != nil {
		return nil, err
	}
	return &Document{Values: r.values, Plain: true, Untyped: untyped}, nil
}

// assignment is a name and its text in a format that has nothing but text.
type assignment struct {
	name string
	text string
	line int
}

func readText(list []assignment, err error) (*Document, error) {
	if err != nil {
		return nil, err
	}
	r := newPlainReader()
	for _, a := range list {
		v, err := events.ParseValue(quote(a.text))
		if err != nil {
			r.add(a.line, a.name, err)
			continue
		}
		r.set(a.name, a.line, v)
	}
	return r.document(true)
}

// parseProperties reads Java properties in UTF-8. Unlike Java, which takes a name's last value, it lists all of them, so
// that a name that is there twice is refused; so it reads setting by setting. It expands nothing.
func parseProperties(data []byte) ([]assignment, error) {
	if !utf8.Valid(data) {
		return nil, &Error{Err: errors.New("is not valid UTF-8")}
	}
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.TrimPrefix(string(data), "\ufeff"))
	loader := properties.Loader{Encoding: properties.UTF8, DisableExpansion: true}
	lines := strings.Split(text, "\n")
	var list []assignment
	for i := 0; i < len(lines); {
		start, text := i, strings.TrimLeft(lines[i], " \t\f")
		i++
		if text == "" || text[0] == '#' || text[0] == '!' {
			continue
		}
		if text[0] == '=' || text[0] == ':' {
			return nil, &Error{Line: start + 1, Err: errors.New("has no name before the separator")}
		}
		for i < len(lines) && goesOn(lines[i-1]) {
			i++
		}
		p, err := loader.LoadBytes([]byte(strings.Join(lines[start:i], "\n")))
		if err != nil {
			return nil, propertiesError(start+1, err)
		}
		for name, text := range p.Map() {
			list = append(list, assignment{name: name, text: text, line: start + 1})
		}
	}
	return list, nil
}

// goesOn says whether a line of properties goes on in the next: its last backslash is not itself escaped.
func goesOn(line string) bool {
	return (len(line)-len(strings.TrimRight(line, `\`)))%2 == 1
}

// propertiesError takes the library's own prefix off: "properties: Line 1: …".
func propertiesError(line int, err error) error {
	text := strings.TrimPrefix(err.Error(), "properties: ")
	if _, after, found := strings.Cut(text, ": "); found {
		text = after
	}
	return &Error{Line: line, Err: errors.New("is not in the form of properties: " + text)}
}
