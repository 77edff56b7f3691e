package document

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// envReader reads a .env file: lines of NAME=text, perhaps with "export" before and a comment behind. Text in single
// quotes is taken as it stands, in double quotes with the escapes \n \r \t \" \\ \$; both may go over several lines.
// Nothing is expanded: a password with a dollar sign stays what it is.
type envReader struct {
	rest string
	line int
}

func parseEnv(data []byte) ([]assignment, error) {
	if !utf8.Valid(data) {
		return nil, &Error{Err: errors.New("is not valid UTF-8")}
	}
	text := strings.ReplaceAll(strings.TrimPrefix(string(data), "\ufeff"), "\r\n", "\n")
	r := &envReader{rest: text, line: 1}
	var list []assignment
	for r.rest != "" {
		line := r.line
		a, err := r.next()
		if err != nil {
			return nil, &Error{Line: line, Err: err}
		}
		if a.name != "" {
			a.line = line
			list = append(list, a)
		}
	}
	return list, nil
}

// next reads one line, or several if a quoted text goes over them. Its name is empty for a blank line or a comment.
func (r *envReader) next() (assignment, error) {
	line, _, _ := strings.Cut(r.rest, "\n")
	if trimmed := strings.TrimSpace(line); trimmed == "" || trimmed[0] == '#' {
		r.skip(len(line))
		return assignment{}, nil
	}
	name, _, found := strings.Cut(line, "=")
	if !found {
		return assignment{}, errors.New("is not of the form NAME=value")
	}
	r.rest = r.rest[len(name)+1:]
	name = strings.TrimSpace(name)
	if after, ok := strings.CutPrefix(name, "export "); ok {
		name = strings.TrimSpace(after)
	}
	if name == "" {
		return assignment{}, errors.New("has no name before the equals sign")
	}
	text, err := r.value()
	return assignment{name: name, text: text}, err
}

func (r *envReader) value() (string, error) {
	r.rest = strings.TrimLeft(r.rest, " \t")
	if r.rest == "" || r.rest[0] != '"' && r.rest[0] != '\'' {
		line, _, _ := strings.Cut(r.rest, "\n")
		r.skip(len(line))
		return unquoted(line), nil
	}
	text, length, err := quoted(r.rest)
	if err != nil {
		return "", err
	}
	r.line += strings.Count(r.rest[:length], "\n")
	r.rest = r.rest[length:]
	after, _, _ := strings.Cut(r.rest, "\n")
	if trimmed := strings.TrimSpace(after); trimmed != "" && trimmed[0] != '#' {
		return "", errors.New("goes on after the closing quote")
	}
	r.skip(len(after))
	return text, nil
}

// skip goes past n bytes and the end of their line.
func (r *envReader) skip(n int) {
	if n < len(r.rest) {
		n++
	}
	r.rest = r.rest[n:]
	r.line++
}

// unquoted takes a comment off: a '#' at the start or after a blank.
func unquoted(line string) string {
	for i := range len(line) {
		if line[i] == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			line = line[:i]
			break
		}
	}
	return strings.TrimSpace(line)
}

// quoted returns the text between the quotes that s starts with, and how many bytes of s that is.
func quoted(s string) (text string, length int, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == s[0]:
			return b.String(), i + 1, nil
		case c == '\\' && s[0] == '"' && i+1 < len(s):
			i++
			switch s[i] {
			case 'n':
				b.WriteByte('\n')
			case 'r':
				b.WriteByte('\r')
			case 't':
				b.WriteByte('\t')
			case '"', '\\', '$':
				b.WriteByte(s[i])
			default:
				b.WriteString(s[i-1 : i+1])
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", 0, errors.New("has an opening quote and no closing one")
}
