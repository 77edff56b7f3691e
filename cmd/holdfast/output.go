package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/document"
)

// mask stands for a sensitive value, and nothing for no value.
const (
	mask    = "••••"
	nothing = "–"
)

// setting is a setting as it is shown: its effective value and where that comes from.
type setting struct {
	Namespace events.Namespace `json:"namespace"`
	Key       events.Key       `json:"key"`
	shown
}

// shown is an entry as it is shown. A sensitive value is left out, and masked says so, unless it was asked for. A key that is
// defined and has no value has no entry: noValue says so, and there is nothing to say of where it comes from.
type shown struct {
	Value     events.Value    `json:"value,omitzero"`
	Masked    bool            `json:"masked,omitzero"`
	NoValue   bool            `json:"no_value,omitzero"`
	Kind      events.Kind     `json:"kind"`
	Revision  events.Revision `json:"revision,omitzero"`
	Position  events.Position `json:"position,omitzero"`
	From      string          `json:"from,omitzero"`
	Sensitive bool            `json:"sensitive,omitzero"`
}

func (c *cli) show(e api.Entry) shown {
	s := shown{Value: e.Value, Kind: e.Kind, Revision: e.Revision, Position: e.Position, From: e.From, Sensitive: e.Sensitive}
	if e.Masked || e.Sensitive && !c.showSensitive {
		s.Value, s.Masked = "", true
	}
	return s
}

// text is the entry's value for people; nil is none.
func (s *shown) text() string {
	switch {
	case s == nil || s.NoValue:
		return nothing
	case s.Masked:
		return mask
	}
	return clip(plain(s.Value))
}

// plain is a value without the quotes of JSON where it can not be misread or meddle with a terminal.
func plain(v events.Value) string {
	var s string
	if json.Unmarshal([]byte(v), &s) != nil || !harmless(s) {
		return quotable(string(v))
	}
	return s
}

func harmless(s string) bool {
	return s != "" && s == strings.TrimSpace(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// quotable escapes what a terminal would act on; JSON leaves some of it as it is.
func quotable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// clip keeps a line readable; -o json has the whole.
func clip(s string) string {
	const width = 80
	if runes := []rune(s); len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return s
}

// count is a number of things.
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// words is a text that somebody wrote, such as a reason, fit for a line.
func words(s string) string {
	if s == "" {
		return nothing
	}
	return clip(quotable(s))
}

// print writes one thing in the form asked for; table writes it for people.
func (c *cli) print(v any, table func(w io.Writer)) error {
	switch c.output {
	case "json":
		enc := json.NewEncoder(c.out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	case "jsonl":
		enc := json.NewEncoder(c.out)
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	case "yaml":
		return document.WriteYAML(c.out, v)
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	table(w)
	return w.Flush()
}

// printAll writes a list: one array or, as jsonl, one thing a line.
func printAll[T any](c *cli, list []T, table func(w io.Writer)) error {
	if c.output != "jsonl" {
		if list == nil {
			list = []T{}
		}
		return c.print(list, table)
	}
	for _, v := range list {
		if err := c.print(v, nil); err != nil {
			return err
		}
	}
	return nil
}

// row writes the cells of a table's row.
func row(w io.Writer, cells ...any) {
	for i, cell := range cells {
		if i > 0 {
			fmt.Fprint(w, "\t")
		}
		fmt.Fprint(w, cell)
	}
	fmt.Fprintln(w)
}
