package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/document"
)

func (c *cli) exportCommand() *cobra.Command {
	var file string
	var effective bool
	var at atFlag
	cmd := &cobra.Command{
		Use:   "export NAMESPACE",
		Short: "Write a namespace's own definitions and values as a document",
		Long: `Export writes what the namespace itself holds, as YAML, or as JSON with -o json or a file named so. Import reads back the
same. With --effective it writes what is in force: inherited definitions and values, and defaults as values.

Sensitive values, and definitions with a sensitive default, are left out, unless --show-sensitive asks for them.`,
		Example:           "  holdfast export postgres.main -f main.yaml\n  holdfast export postgres.main -o json\n  holdfast export postgres.main --at before-sale",
		Args:              takes(1, 1),
		ValidArgsFunction: c.completeNamespace,
	}
	cmd.Flags().StringVarP(&file, "file", "f", "-", "file to write; - is standard output")
	cmd.Flags().BoolVar(&effective, "effective", false, "write what is in force, not only what is set here")
	at.define(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ns, err := parseNamespace(args[0])
		if err != nil {
			return err
		}
		cl, err := c.newClient()
		if err != nil {
			return err
		}
		doc, masked, err := cl.document(cmd.Context(), ns, effective, at)
		if err != nil {
			return err
		}
		if masked > 0 {
			c.note("left out %s; --show-sensitive writes what the api may show", count(masked, "sensitive value"))
		}
		return c.writeDocument(doc, file)
	}
	return cmd
}

// document reads a namespace as it is at one revision, but for what is masked, which it counts.
func (c *client) document(ctx context.Context, ns events.Namespace, effective bool, at atFlag) (doc *document.Document, masked int, err error) {
	state, err := c.state(ctx, ns, at)
	if err != nil {
		return nil, 0, err
	}
	doc = &document.Document{Namespace: ns, Open: state.Open, Description: state.Description, Labels: state.Labels,
		Definitions: map[events.Key]events.Definition{}, Values: map[events.Key]events.Value{}}
	for key, d := range state.definitions {
		switch {
		case !effective && d.From != ns:
		case d.Masked: // without its default it would be another
			masked++
		default:
			doc.Definitions[key] = d.Definition
		}
	}
	for key, e := range state.values {
		switch {
		case !effective && e.From != string(ns):
		case e.Masked:
			masked++
		default:
			doc.Values[key] = e.Value
		}
	}
	return doc, masked, nil
}

func (c *cli) writeDocument(doc *document.Document, file string) error {
	format := document.YAML
	if c.output == "json" || c.output == "jsonl" || strings.EqualFold(filepath.Ext(file), ".json") {
		format = document.JSON
	}
	var b bytes.Buffer
	if err := doc.Write(&b, format); err != nil {
		return err
	}
	sensitive := 0
	for key := range doc.Values {
		if doc.Definitions[key].Sensitive {
			sensitive++
		}
	}
	if sensitive > 0 {
		c.note("the document holds %s; keep it safe", count(sensitive, "sensitive value"))
	}
	if file == "-" {
		_, err := c.out.Write(b.Bytes())
		return err
	}
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		return err
	}
	c.note("%s: %d definitions, %d values", file, len(doc.Definitions), len(doc.Values))
	return nil
}

// state is all that the api says of a namespace, at one position.
type state struct {
	api.Namespace
	definitions map[events.Key]api.Definition
	values      map[events.Key]api.Entry
}

// state reads a namespace in three requests, again if it changed between them. As of a point in its history only definitions
// and values are as they were; what it is itself does not change.
func (c *client) state(ctx context.Context, ns events.Namespace, at atFlag) (*state, error) {
	for range 10 {
		query, err := c.now(ctx)
		if err != nil {
			return nil, err
		}
		then := maps.Clone(c.revealing(query))
		if err := at.add(then); err != nil {
			return nil, err
		}
		var s state
		var definitions api.Definitions
		var values api.Values
		for _, part := range []struct {
			into  any
			query url.Values
			path  []string
		}{{&s.Namespace, query, nil}, {&definitions, then, []string{"definitions"}}, {&values, then, []string{"values"}}} {
			if err := c.get(ctx, part.into, part.query, append([]string{"v1", "namespaces", string(ns)}, part.path...)...); err != nil {
				return nil, err
			}
		}
		if definitions.Revision == values.Revision && (at.text != "" || s.Revision == values.Revision) {
			s.definitions, s.values = definitions.Definitions, values.Values
			return &s, nil
		}
	}
	return nil, fmt.Errorf("%s changes faster than it can be read; try again", ns)
}
