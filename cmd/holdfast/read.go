package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/events"
)

func (c *cli) getCommand() *cobra.Command {
	var at atFlag
	cmd := &cobra.Command{
		Use:               "get NAMESPACE/KEY",
		Short:             "Print a setting's effective value",
		Example:           "  holdfast get postgres.main/work_mem\n  holdfast get postgres.main/work_mem -o json\n  holdfast get postgres.main/work_mem --at 2h",
		Args:              takes(1, 1),
		ValidArgsFunction: c.completeAddress,
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := parseAddress(args[0])
			if err != nil {
				return err
			}
			cl, err := c.newClient()
			if err != nil {
				return err
			}
			query, err := cl.now(cmd.Context())
			if err == nil {
				err = at.add(query)
			}
			if err != nil {
				return err
			}
			var v api.Value
			if err := cl.get(cmd.Context(), &v, cl.revealing(query), "v1", "namespaces", string(a.ns), "values", string(a.key)); err != nil {
				return cl.whyNot(cmd.Context(), a, at, err)
			}
			s := c.show(v.Entry)
			return c.print(setting{a.ns, a.key, s}, func(w io.Writer) {
				if s.Masked {
					c.note("%s is sensitive; --show-sensitive asks for it", a)
				}
				fmt.Fprintln(c.out, bare(s)) // not through w, which would align tabs
			})
		},
	}
	at.define(cmd)
	return cmd
}

// whyNot makes the answer that a key has no value say so, too, if nothing defines it, as its name may be mistyped; else how
// it gets one, unless the question was about the past.
func (c *client) whyNot(ctx context.Context, a address, at atFlag, err error) error {
	problem := new(api.Problem)
	if !errors.As(err, &problem) || problem.Type != api.ProblemNoValue {
		return err
	}
	switch d, failed := c.definition(ctx, a); {
	case failed != nil || d != nil && at.text != "":
		return err
	case d != nil:
		return fmt.Errorf("%w: it has no default, and none is set; set it: holdfast set %s=VALUE", err, a)
	}
	return fmt.Errorf("%w, and nothing defines it; see: holdfast list %s", err, a.ns)
}

// bare is a value as a script takes it: a string's own text, anything else as JSON.
func bare(s shown) string {
	if s.Masked {
		return mask
	}
	var text string
	if json.Unmarshal([]byte(s.Value), &text) == nil && s.Value != "null" {
		return text
	}
	return string(s.Value)
}

func (c *cli) listCommand() *cobra.Command {
	var prefix string
	var at atFlag
	cmd := &cobra.Command{
		Use:   "list [NAMESPACE]",
		Short: "List the namespaces, or the keys of one and their effective values",
		Long: `List shows the namespaces, or the keys of one and their effective values. A key that is defined and has no value is there,
too: with – in the table, and with "no_value": true instead of a value elsewhere.`,
		Example:           "  holdfast list\n  holdfast list postgres.main --prefix log_\n  holdfast list postgres.main --at before-sale",
		Args:              takes(0, 1),
		ValidArgsFunction: c.completeNamespace,
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.newClient()
			if err != nil {
				return err
			}
			switch {
			case len(args) == 0 && at.text != "":
				return usageError{errors.New("--at needs a namespace, whose history it is about")}
			case len(args) == 0 && prefix != "":
				return usageError{errors.New("--prefix needs a namespace, whose keys it is about")}
			case len(args) == 0:
				return c.listNamespaces(cmd.Context(), cl)
			}
			ns, err := parseNamespace(args[0])
			if err != nil {
				return err
			}
			return c.listValues(cmd.Context(), cl, ns, prefix, at)
		},
	}
	cmd.Flags().StringVar(&prefix, "prefix", "", "only keys that start with this")
	at.define(cmd)
	return cmd
}

func (c *cli) listNamespaces(ctx context.Context, cl *client) error {
	names, err := cl.namespaces(ctx, "")
	if err != nil {
		return err
	}
	var list []api.Namespace
	for _, name := range names {
		var ns api.Namespace
		if err := cl.get(ctx, &ns, nil, "v1", "namespaces", string(name)); err != nil {
			return err
		}
		list = append(list, ns)
	}
	return printAll(c, list, func(w io.Writer) {
		if len(list) == 0 {
			c.note("there is no namespace yet; make one: holdfast create NAMESPACE")
			return
		}
		row(w, "NAMESPACE", "REVISION", "POSITION", "OPEN", "DESCRIPTION")
		for _, ns := range list {
			row(w, ns.Namespace, ns.Revision, ns.Position, ns.Open, words(ns.Description))
		}
	})
}

// namespaces returns all names after the given one, page by page.
func (c *client) namespaces(ctx context.Context, after events.Namespace) ([]events.Namespace, error) {
	var names []events.Namespace
	for {
		query := url.Values{}
		if after != "" {
			query.Set("after", string(after))
		}
		var page api.Namespaces
		if err := c.get(ctx, &page, query, "v1", "namespaces"); err != nil {
			return nil, err
		}
		names = append(names, page.Namespaces...)
		if page.Next == "" {
			return names, nil
		}
		after = page.Next
	}
}

func (c *cli) listValues(ctx context.Context, cl *client, ns events.Namespace, prefix string, at atFlag) error {
	query, err := cl.now(ctx)
	if err == nil {
		err = at.add(query)
	}
	if err != nil {
		return err
	}
	if prefix != "" {
		query.Set("prefix", prefix)
	}
	var values api.Values
	if err := cl.get(ctx, &values, cl.revealing(query), "v1", "namespaces", string(ns), "values"); err != nil {
		return err
	}
	without, err := cl.withoutValue(ctx, values, query)
	if err != nil {
		return err
	}
	var list []setting
	for key, e := range values.Values {
		list = append(list, setting{ns, key, c.show(e)})
	}
	for key, d := range without {
		if strings.HasPrefix(string(key), prefix) {
			list = append(list, setting{ns, key, shown{NoValue: true, Kind: d.Kind, Sensitive: d.Sensitive}})
		}
	}
	slices.SortFunc(list, func(a, b setting) int { return strings.Compare(string(a.Key), string(b.Key)) })
	return printAll(c, list, func(w io.Writer) {
		if len(list) == 0 {
			what := "has no keys"
			if prefix != "" {
				what = fmt.Sprintf("has no key that starts with %q", prefix)
			}
			c.note("%s %s", ns, what)
			return
		}
		row(w, "KEY", "VALUE", "KIND", "FROM", "REVISION")
		for _, s := range list {
			if s.NoValue {
				row(w, s.Key, s.text(), s.Kind, nothing, nothing)
				continue
			}
			row(w, s.Key, s.text(), s.Kind, s.From, s.Revision)
		}
	})
}

// withoutValue reads the definitions of the keys that have no effective value; query is that of the values. A key that was
// given a definition and a default after the values were read is left out, as values are.
func (c *client) withoutValue(ctx context.Context, values api.Values, query url.Values) (map[events.Key]api.Definition, error) {
	query = maps.Clone(query)
	query.Del("prefix")
	query.Set("min_position", fmt.Sprint(values.Position))
	var list api.Definitions
	if err := c.get(ctx, &list, query, "v1", "namespaces", string(values.Namespace), "definitions"); err != nil {
		return nil, err
	}
	maps.DeleteFunc(list.Definitions, func(key events.Key, d api.Definition) bool {
		_, has := values.Values[key]
		return has || d.Default != "" || d.Masked
	})
	return list.Definitions, nil
}

// entries reads some settings; one without an effective value, or in no namespace, is nil.
func (c *client) entries(ctx context.Context, list []address, query url.Values) ([]*api.Entry, error) {
	found := make([]*api.Entry, len(list))
	for i, a := range list {
		var v api.Value
		ok, err := ifFound(c.get(ctx, &v, c.revealing(query), "v1", "namespaces", string(a.ns), "values", string(a.key)))
		if err != nil {
			return nil, err
		}
		if ok {
			found[i] = &v.Entry
		}
	}
	return found, nil
}

// definition reads the definition in force for a setting; nil: there is none.
func (c *client) definition(ctx context.Context, a address) (*api.KeyDefinition, error) {
	var d api.KeyDefinition
	ok, err := ifFound(c.get(ctx, &d, nil, "v1", "namespaces", string(a.ns), "definitions", string(a.key)))
	if !ok {
		return nil, err
	}
	return &d, nil
}
