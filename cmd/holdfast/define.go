package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-config/holdfast/commands"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/document"
)

// definitionFlags are a definition as flags give it: values are text until the kind is known.
type definitionFlags struct {
	kind, def, min, max, schema string
	enum, requires              []string
	rest                        events.Definition
}

func (c *cli) defineCommand() *cobra.Command {
	var f definitionFlags
	cmd := &cobra.Command{
		Use:   "define NAMESPACE/KEY --kind KIND",
		Short: "Say what a key may hold",
		Long: `Define gives a key its definition, whole: it replaces the one that the namespace had for the key. It is refused if a
value that is set, here or in a namespace that inherits, would break it.`,
		Example: `  holdfast define shop/db.port --kind int --default 5432 --min 1 --max 65535
  holdfast define shop/mode --kind string --enum fast,safe --default safe
  holdfast define shop/routes --kind json --schema @routes.schema.json`,
		Args:              takes(1, 1),
		ValidArgsFunction: c.completeAddress,
	}
	w := c.writing(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.kind, "kind", "", "bool, int, float, string, duration, size or json")
	flags.StringVar(&f.def, "default", "", "the value where none is set")
	flags.StringVar(&f.min, "min", "", "the least value allowed")
	flags.StringVar(&f.max, "max", "", "the greatest value allowed")
	flags.StringSliceVar(&f.enum, "enum", nil, "the only values allowed, separated by commas")
	flags.StringVar(&f.rest.Pattern, "pattern", "", "regular expression (RE2) that a string must match")
	flags.StringVar(&f.schema, "schema", "", "JSON Schema for kind json, or @FILE")
	flags.StringVar(&f.rest.Unit, "unit", "", "what a number counts, such as kB")
	flags.StringVar(&f.rest.Description, "description", "", "what the setting does")
	flags.StringVar(&f.rest.Group, "group", "", "heading under which people find it")
	flags.StringSliceVar(&f.requires, "requires", nil, "keys that must exist wherever this one does")
	flags.BoolVar(&f.rest.Sensitive, "sensitive", false, "mask the value where it is shown")
	flags.StringToStringVar(&f.rest.Labels, "label", nil, "`label=value`; may be repeated")
	if err := cmd.MarkFlagRequired("kind"); err != nil {
		panic(err) // the flag stands above
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		a, err := parseAddress(args[0])
		if err != nil {
			return err
		}
		d, err := f.definition(flags.Changed)
		if err != nil {
			return err
		}
		return w.post(cmd.Context(), w.changeSet(a.ns, commands.Define{Key: a.key, Definition: d}), "defined, ", []address{a})
	}
	return cmd
}

func (f *definitionFlags) definition(given func(flag string) bool) (events.Definition, error) {
	d := f.rest
	d.Kind = events.Kind(f.kind)
	for _, v := range []struct {
		flag, text string
		into       *events.Value
	}{{"default", f.def, &d.Default}, {"min", f.min, &d.Min}, {"max", f.max, &d.Max}} {
		if !given(v.flag) {
			continue
		}
		if err := readFlag(v.flag, d.Kind, v.text, v.into); err != nil {
			return d, err
		}
	}
	for _, text := range f.enum {
		var v events.Value
		if err := readFlag("enum", d.Kind, text, &v); err != nil {
			return d, err
		}
		d.Enum = append(d.Enum, v)
	}
	for _, text := range f.requires {
		key, err := events.ParseKey(text)
		if err != nil {
			return d, usageError{fmt.Errorf("--requires: %w", err)}
		}
		d.Requires = append(d.Requires, key)
	}
	if !given("schema") {
		return d, nil
	}
	text := f.schema
	if file, ok := strings.CutPrefix(text, "@"); ok {
		data, err := os.ReadFile(file)
		if err != nil {
			return d, fmt.Errorf("--schema: %w", err)
		}
		text = string(data)
	}
	return d, readFlag("schema", events.JSON, text, &d.Schema)
}

func readFlag(flag string, kind events.Kind, text string, into *events.Value) error {
	v, err := document.TextValue(kind, text)
	if err != nil {
		return usageError{fmt.Errorf("--%s: %w", flag, err)}
	}
	*into = v
	return nil
}
