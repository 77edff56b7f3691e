package events

import (
	"fmt"
	"strings"
)

// Namespace is the unit of ordering, atomic change, access and reading: a dotted name such as "payments.prod". Labels
// are [a-z0-9]([a-z0-9-]*[a-z0-9])?, at most [MaxNamespaceLabels] of them and [MaxNamespaceBytes] in all.
type Namespace string

// Key is a setting in a namespace: "db.max_conns". Parts are [A-Za-z0-9_-]+ joined by dots, at most [MaxKeyBytes].
type Key string

// Tag names a revision of a namespace: "before-sale". It is [A-Za-z][A-Za-z0-9._-]*, at most [MaxTagBytes]: never a number
// or a time.
type Tag string

// NameError says what is wrong with a name, and where.
type NameError struct {
	What   string // "namespace", "key" or "tag"
	Name   string // as given
	Offset int    // byte offset of the offending place
	Why    string
}

func (e *NameError) Error() string {
	if e.Name == "" {
		return e.What + ": " + e.Why
	}
	name, offset := e.Name, e.Offset
	if len(name) > maxShown {
		from := max(0, min(offset, len(name))-maxShown/2)
		name, offset = name[from:min(len(name), from+maxShown)], offset-from
	}
	if e.Offset == 0 {
		return fmt.Sprintf("%s %q: %s at byte 0", e.What, name, e.Why)
	}
	return fmt.Sprintf("%s %q: %s at byte %d, after %q", e.What, name, e.Why, e.Offset, name[:min(offset, len(name))])
}

const maxShown = 64 // bytes of a name that an error text repeats

// ParseNamespace returns s as a namespace, or a [*NameError].
func ParseNamespace(s string) (Namespace, error) {
	fail := func(at int, why string) (Namespace, error) {
		return "", &NameError{What: "namespace", Name: s, Offset: at, Why: why}
	}
	if s == "" {
		return fail(0, "is empty")
	}
	if len(s) > MaxNamespaceBytes {
		return fail(MaxNamespaceBytes, fmt.Sprintf("is %d bytes, more than %d,", len(s), MaxNamespaceBytes))
	}
	labels, start := 1, 0
	for i := 0; i <= len(s); i++ {
		switch {
		case i == len(s) || s[i] == '.':
			if i == start {
				return fail(i, "a label is empty")
			}
			if s[i-1] == '-' {
				return fail(i-1, "a label ends with '-'")
			}
			if i < len(s) {
				labels, start = labels+1, i+1
			}
		case s[i] == '-' && i == start:
			return fail(i, "a label starts with '-'")
		case !isLower(s[i]) && !isDigit(s[i]) && s[i] != '-':
			return fail(i, badByte(s, i, "a-z, 0-9, '-' and '.'"))
		}
	}
	if labels > MaxNamespaceLabels {
		return fail(len(s), fmt.Sprintf("has %d labels, more than %d,", labels, MaxNamespaceLabels))
	}
	return Namespace(s), nil
}

// ParseKey returns s as a key, or a [*NameError].
func ParseKey(s string) (Key, error) {
	fail := func(at int, why string) (Key, error) {
		return "", &NameError{What: "key", Name: s, Offset: at, Why: why}
	}
	if s == "" {
		return fail(0, "is empty")
	}
	if len(s) > MaxKeyBytes {
		return fail(MaxKeyBytes, fmt.Sprintf("is %d bytes, more than %d,", len(s), MaxKeyBytes))
	}
	start := 0
	for i := 0; i <= len(s); i++ {
		switch {
		case i == len(s) || s[i] == '.':
			if i == start {
				return fail(i, "a part is empty")
			}
			start = i + 1
		case !isLower(s[i]) && !isUpper(s[i]) && !isDigit(s[i]) && s[i] != '_' && s[i] != '-':
			return fail(i, badByte(s, i, "A-Z, a-z, 0-9, '_', '-' and '.'"))
		}
	}
	return Key(s), nil
}

// ParseTag returns s as a tag, or a [*NameError].
func ParseTag(s string) (Tag, error) {
	fail := func(at int, why string) (Tag, error) {
		return "", &NameError{What: "tag", Name: s, Offset: at, Why: why}
	}
	if s == "" {
		return fail(0, "is empty")
	}
	if len(s) > MaxTagBytes {
		return fail(MaxTagBytes, fmt.Sprintf("is %d bytes, more than %d,", len(s), MaxTagBytes))
	}
	for i := range len(s) {
		switch {
		case isLower(s[i]) || isUpper(s[i]):
		case i == 0:
			return fail(i, "does not begin with a letter,")
		case !isDigit(s[i]) && s[i] != '.' && s[i] != '_' && s[i] != '-':
			return fail(i, badByte(s, i, "A-Z, a-z, 0-9, '.', '_' and '-'"))
		}
	}
	return Tag(s), nil
}

// Parent returns the namespace whose name n extends by one label, and whether there is such a name.
func (n Namespace) Parent() (Namespace, bool) {
	i := strings.LastIndexByte(string(n), '.')
	if i < 0 {
		return "", false
	}
	return n[:i], true
}

// Lineage returns n and the names that it extends, the longest first: where it may inherit from.
func (n Namespace) Lineage() []Namespace {
	names := []Namespace{n}
	for parent, ok := n.Parent(); ok; parent, ok = parent.Parent() {
		names = append(names, parent)
	}
	return names
}

// Root returns n's first label: no namespace inherits across roots.
func (n Namespace) Root() Namespace {
	root, _, _ := strings.Cut(string(n), ".")
	return Namespace(root)
}

// Above says whether other's name extends n's by one label or more.
func (n Namespace) Above(other Namespace) bool {
	return len(other) > len(n) && other[len(n)] == '.' && other[:len(n)] == n
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func badByte(s string, i int, allowed string) string {
	for _, r := range s[i:] {
		return fmt.Sprintf("%q is not one of %s", r, allowed)
	}
	return "unexpected end"
}
