package document

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Write writes our own document as [YAML] or [JSON]; [Read] reads back the same.
func (d *Document) Write(w io.Writer, format Format) error {
	form := struct {
		Version json.Number `json:"holdfast"`
		*Document
	}{version, d}
	switch format {
	case JSON:
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(form)
	case YAML:
		return WriteYAML(w, form)
	}
	return fmt.Errorf("a document is written as %s or %s, not %q", YAML, JSON, format)
}

// WriteYAML writes what json.Marshal makes of v as YAML, with the members in the same order.
func WriteYAML(w io.Writer, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	root, err := parseJSON(b.Bytes())
	if err != nil {
		return err
	}
	style(root)
	out := yaml.NewEncoder(w)
	out.SetIndent(2)
	if err := out.Encode(root); err != nil {
		return err
	}
	return out.Close()
}

// style makes a tree read well: text without quotes where nobody, YAML 1.1 included, can take it for something else,
// several lines as a block, short lists in one line.
func style(n *yaml.Node) {
	n.Style = 0
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag == "!!str":
		n.Style = stringStyle(n.Value)
	case n.Kind == yaml.SequenceNode && fitsInLine(n.Content):
		n.Style = yaml.FlowStyle
	}
	for _, child := range n.Content {
		style(child)
	}
}

var (
	plainText  = regexp.MustCompile(`^[A-Za-z_/]([A-Za-z0-9_ .,/()'%+=-]*[A-Za-z0-9_./)'%+=-])?$`)
	reserved   = regexp.MustCompile(`^(?i:y|n|yes|no|on|off|true|false|null)$`)
	plainLines = regexp.MustCompile(`^[!-~]([ -~]*[!-~])?(\n+[!-~]([ -~]*[!-~])?)+\n?$`)
)

func stringStyle(s string) yaml.Style {
	switch {
	case plainText.MatchString(s) && !reserved.MatchString(s):
		return 0
	case plainLines.MatchString(s):
		return yaml.LiteralStyle
	}
	return yaml.DoubleQuotedStyle
}

func fitsInLine(list []*yaml.Node) bool {
	length := 0
	for _, n := range list {
		if n.Kind != yaml.ScalarNode || strings.Contains(n.Value, "\n") {
			return false
		}
		length += len(n.Value) + 2
	}
	return length <= 100
}
