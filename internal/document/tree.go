package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/holdfast-config/holdfast/events"
)

// YAML and JSON are both read into a tree of YAML nodes, which know their lines and keep scalars as text.

// maxDepth bounds the nesting of a file: that of a value, and what a document has around it. It also ends the endless
// nesting of a YAML anchor that contains its own alias.
const maxDepth = events.MaxValueDepth + 8

var errDepth = fmt.Errorf("is nested deeper than %d", maxDepth)

func parse(data []byte, isJSON bool) (*yaml.Node, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if isJSON {
		return parseJSON(data)
	}
	return parseYAML(data)
}

func parseYAML(data []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, &Error{Err: errors.New("file is empty")}
	case err != nil:
		return nil, yamlError(err)
	}
	switch err := dec.Decode(&second); {
	case err == nil:
		return nil, &Error{Line: second.Line, Err: errors.New("a second YAML document starts here; a file holds one")}
	case !errors.Is(err, io.EOF):
		return nil, yamlError(err)
	}
	return doc.Content[0], nil
}

// yamlError takes the library's own prefix off: "yaml: line 3: …".
func yamlError(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	var line int
	if n, _ := fmt.Sscanf(text, "line %d:", &line); n == 1 {
		_, text, _ = strings.Cut(text, ": ")
	}
	if strings.HasPrefix(text, "unknown anchor") {
		text = "a value starts with '*' and names no anchor; quote it" // the text could be a secret that starts so
	}
	return &Error{Line: line, Err: errors.New("is not YAML: " + text)}
}

// jsonTree reads JSON into nodes.
type jsonTree struct {
	data []byte
	dec  *json.Decoder
	line int
	seen int64 // offset up to which line is counted
}

func parseJSON(data []byte) (*yaml.Node, error) {
	t := &jsonTree{data: data, dec: json.NewDecoder(bytes.NewReader(data)), line: 1}
	t.dec.UseNumber()
	root, err := t.node(0)
	if err == nil {
		if _, err = t.dec.Token(); err == nil {
			err = errors.New("goes on after the end of the first value")
		} else if errors.Is(err, io.EOF) {
			return root, nil
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("ends too early")
	}
	at := t.dec.InputOffset()
	if syntax := new(json.SyntaxError); errors.As(err, &syntax) {
		at = max(at, min(syntax.Offset, int64(len(data))))
	}
	return nil, &Error{Line: t.lineAt(at), Err: fmt.Errorf("is not JSON: %w", err)}
}

func (t *jsonTree) lineAt(offset int64) int {
	t.line += bytes.Count(t.data[t.seen:offset], []byte("\n"))
	t.seen = offset
	return t.line
}

func (t *jsonTree) node(depth int) (*yaml.Node, error) {
	if depth > maxDepth {
		return nil, errDepth
	}
	start := t.dec.InputOffset()
	tok, err := t.dec.Token()
	if err != nil {
		return nil, err
	}
	n := &yaml.Node{Kind: yaml.ScalarNode, Line: t.lineAt(t.dec.InputOffset())}
	switch tok := tok.(type) {
	case nil:
		n.Tag, n.Value = "!!null", "null"
	case bool:
		n.Tag, n.Value = "!!bool", strconv.FormatBool(tok)
	case json.Number:
		n.Tag, n.Value = numberTag(tok.String()), tok.String()
	case string:
		n.Tag, n.Value, n.Style = "!!str", tok, yaml.DoubleQuotedStyle
		if strings.ContainsRune(tok, utf8.RuneError) { // perhaps put in by the decoder for what it could not read
			raw := bytes.TrimLeft(t.data[start:t.dec.InputOffset()], " \t\r\n,:")
			if _, err := events.ParseValue(raw); err != nil {
				return nil, err
			}
		}
	case json.Delim:
		n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		if tok == '{' {
			n.Kind, n.Tag = yaml.MappingNode, "!!map"
		}
		return n, t.children(n, depth)
	}
	return n, nil
}

// children reads the elements of an array, or names and values of an object by turns, as a YAML node has them.
func (t *jsonTree) children(n *yaml.Node, depth int) error {
	for t.dec.More() {
		child, err := t.node(depth + 1)
		if err != nil {
			return err
		}
		n.Content = append(n.Content, child)
	}
	_, err := t.dec.Token()
	return err
}

func numberTag(text string) string {
	if strings.ContainsAny(text, ".eE") {
		return "!!float"
	}
	return "!!int"
}

// deref follows aliases.
func deref(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// member is a name in a mapping, and its value.
type member struct {
	name  string
	line  int
	value *yaml.Node
}

// members lists a mapping's members; those that it merges in with "<<" come last, unless it has the name itself.
func members(n *yaml.Node) ([]member, error) { return mergedMembers(n, 0) }

func mergedMembers(n *yaml.Node, depth int) ([]member, error) {
	if depth > maxDepth {
		return nil, errDepth
	}
	var list []member
	var merged []*yaml.Node
	mergeLine := 0
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := deref(n.Content[i]), deref(n.Content[i+1])
		switch {
		case name.Kind != yaml.ScalarNode:
			return nil, &Error{Line: name.Line, Err: errors.New("a name is a list or a mapping; it must be text")}
		case name.ShortTag() == "!!merge":
			if mergeLine > 0 {
				return nil, &Error{Line: name.Line, Err: fmt.Errorf("<< stands here again, first in line %d; write a list: [*a, *b]", mergeLine)}
			}
			mergeLine, merged = name.Line, []*yaml.Node{value}
			if value.Kind == yaml.SequenceNode {
				merged = value.Content
			}
			continue
		case lines[name.Value] > 0:
			return nil, &Error{Line: name.Line, Err: fmt.Errorf("%q stands here again, first in line %d", name.Value, lines[name.Value])}
		}
		lines[name.Value] = name.Line
		list = append(list, member{name.Value, name.Line, value})
	}
	for _, from := range merged {
		from = deref(from)
		if from.Kind != yaml.MappingNode {
			return nil, &Error{Line: from.Line, Err: errors.New("what is merged with << is not a mapping")}
		}
		more, err := mergedMembers(from, depth+1)
		if err != nil {
			return nil, err
		}
		for _, m := range more {
			if lines[m.name] == 0 {
				lines[m.name] = m.line
				list = append(list, m)
			}
		}
	}
	return list, nil
}

// valueOf returns the value that n and what is in it are.
func valueOf(n *yaml.Node) (events.Value, error) {
	b, err := appendValue(nil, n, 0)
	if err != nil {
		return "", err
	}
	return events.ParseValue(b)
}

func appendValue(b []byte, n *yaml.Node, depth int) (_ []byte, err error) {
	n = deref(n)
	if depth > maxDepth {
		return nil, errDepth
	}
	if len(b) > 2*events.MaxValueBytes { // aliases of aliases grow without bound
		return nil, fmt.Errorf("value is more than %d bytes", events.MaxValueBytes)
	}
	switch n.Kind {
	case yaml.ScalarNode:
		return appendScalar(b, n)
	case yaml.SequenceNode:
		b = append(b, '[')
		for i, element := range n.Content {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendValue(b, element, depth+1); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	}
	list, err := members(n)
	if err != nil {
		return nil, err
	}
	b = append(b, '{')
	for i, m := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, quote(m.name)...), ':')
		if b, err = appendValue(b, m.value, depth+1); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func appendScalar(b []byte, n *yaml.Node) ([]byte, error) {
	switch tag := n.ShortTag(); tag {
	case "!!null":
		return append(b, "null"...), nil
	case "!!bool":
		return append(b, strings.ToLower(n.Value)...), nil
	case "!!int", "!!float":
		text, err := number(n.Value)
		if err != nil {
			return nil, &Error{Line: n.Line, Err: err}
		}
		return append(b, text...), nil
	case "!!str", "!!timestamp", "!!merge":
		return append(b, quote(n.Value)...), nil
	default:
		return nil, &Error{Line: n.Line, Err: fmt.Errorf("the tag %s has no meaning here", tag)}
	}
}

var (
	jsonNumber  = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
	legacyOctal = regexp.MustCompile(`^[+-]?0[0-9_]+$`)
)

// number returns the JSON number for one that YAML writes as text.
func number(text string) (string, error) {
	if jsonNumber.MatchString(text) {
		return text, nil
	}
	if legacyOctal.MatchString(text) {
		return "", errors.New("a number with leading zeros is octal to some and decimal to others; write 0o… or leave them out, or quote it")
	}
	plain := strings.ReplaceAll(text, "_", "")
	if i, err := strconv.ParseInt(plain, 0, 64); err == nil {
		return strconv.FormatInt(i, 10), nil
	}
	if u, err := strconv.ParseUint(plain, 0, 64); err == nil {
		return strconv.FormatUint(u, 10), nil
	}
	f, err := strconv.ParseFloat(plain, 64)
	if text := strconv.FormatFloat(f, 'g', -1, 64); err == nil && jsonNumber.MatchString(text) {
		return text, nil
	}
	return "", errors.New("is not a finite number")
}

func quote(s string) []byte {
	b, _ := json.Marshal(s) // never fails for a string
	return b
}
