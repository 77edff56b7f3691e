package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/events"
)

// errDiffers says that a comparison asked for by its exit code found differences. It has been printed.
var errDiffers = errors.New("differs")

// diffFlags say what is compared.
type diffFlags struct {
	from, to                   string
	own, definitions, exitCode bool
}

func (c *cli) diffCommand() *cobra.Command {
	var f diffFlags
	cmd := &cobra.Command{
		Use:   "diff NAMESPACE [OTHER]",
		Short: "Compare two points of a namespace, or two namespaces",
		Long: `Diff lists what differs: between two points in the history of a namespace, or between two namespaces, each now or at a
point. A point is ` + points + `.`,
		Example: "  holdfast diff payments.prod --from before-sale\n  holdfast diff payments.prod --from 41 --to 43 --definitions\n" +
			"  holdfast diff payments.staging payments.prod --exit-code",
		Args:              takes(1, 2),
		ValidArgsFunction: c.completeNamespace,
	}
	cmd.Flags().StringVar(&f.from, "from", "", "compare NAMESPACE as of this `point`")
	cmd.Flags().StringVar(&f.to, "to", "", "with OTHER, or NAMESPACE, as of this `point`")
	cmd.Flags().BoolVar(&f.own, "own", false, "compare what the namespaces say themselves, not what is in force there")
	cmd.Flags().BoolVar(&f.definitions, "definitions", false, "compare definitions, too")
	cmd.Flags().BoolVar(&f.exitCode, "exit-code", false, "end with exit code 10 if there are differences")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ns, err := parseNamespace(args[0])
		if err != nil {
			return err
		}
		query, err := f.query(args[1:])
		if err != nil {
			return err
		}
		cl, err := c.newClient()
		if err != nil {
			return err
		}
		var d api.Diff
		if err := cl.get(cmd.Context(), &d, cl.revealing(query), "v1", "namespaces", string(ns), "diff"); err != nil {
			return err
		}
		if err := c.printDiff(d); err != nil {
			return err
		}
		if f.exitCode && len(d.Differences) > 0 {
			return errDiffers
		}
		return nil
	}
	return cmd
}

// query is what the flags, and the other namespace if there is one, ask for.
func (f *diffFlags) query(other []string) (url.Values, error) {
	if len(other) == 0 && f.from == "" && f.to == "" {
		return nil, usageError{errors.New("name a point with --from, or another namespace")}
	}
	if len(other) == 0 && f.from == f.to {
		return nil, usageError{errors.New("--from and --to are the same point; leave one out to compare the other with now")}
	}
	query := url.Values{}
	for _, name := range other {
		against, err := parseNamespace(name)
		if err != nil {
			return nil, err
		}
		query.Set("against", string(against))
	}
	for _, p := range []struct{ name, text string }{{"from", f.from}, {"to", f.to}} {
		point, err := parsePoint(p.name, p.text)
		if err != nil {
			return nil, err
		}
		if point != "" {
			query.Set(p.name, point)
		}
	}
	for name, set := range map[string]bool{"own": f.own, "definitions": f.definitions} {
		if set {
			query.Set(name, "true")
		}
	}
	return query, nil
}

func (c *cli) printDiff(d api.Diff) error {
	c.note("%s → %s: %s", sideText(d.From), sideText(d.To), count(len(d.Differences), "difference"))
	return printAll(c, d.Differences, func(w io.Writer) {
		for _, one := range d.Differences {
			row(w, one.Key, c.heldText(one.From)+" → "+c.heldText(one.To))
		}
	})
}

func sideText(s api.Side) string {
	return fmt.Sprintf("%s at revision %d", events.Namespace(s.Namespace), s.Revision)
}
