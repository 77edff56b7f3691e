package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-config/holdfast/api"
)

func (c *cli) instancesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "instances NAMESPACE",
		Short: "List the services that read a namespace, and how far they are",
		Long: `Instances lists the readers of a namespace as they last reported themselves, and how each stands: current, behind,
rejecting (it refused a change), or gone (it has not reported when it should have).`,
		Example:           "  holdfast instances payments.prod\n  holdfast instances payments.prod -o json",
		Args:              takes(1, 1),
		ValidArgsFunction: c.completeNamespace,
		RunE: func(cmd *cobra.Command, args []string) error {
			ns, err := parseNamespace(args[0])
			if err != nil {
				return err
			}
			cl, err := c.newClient()
			if err != nil {
				return err
			}
			var list api.Instances
			if err := cl.get(cmd.Context(), &list, nil, "v1", "namespaces", string(ns), "instances"); err != nil {
				return err
			}
			return c.printInstances(list)
		},
	}
}

func (c *cli) printInstances(list api.Instances) error {
	return printAll(c, list.Instances, func(w io.Writer) {
		if len(list.Instances) == 0 {
			c.note("no service that reads %s has reported itself", list.Namespace)
			return
		}
		row(w, "APP", "INSTANCE", "HOST", "STANDING", "POSITION", "SOURCE", "AGE", "WHY")
		for _, in := range list.Instances {
			position, why := fmt.Sprintf("%d of %d", in.Position, list.Position), ""
			if in.Rejected != nil {
				why = fmt.Sprintf("%d: %s", in.Rejected.Position, in.Rejected.Why)
			}
			age := time.Duration(in.AgeMs) * time.Millisecond
			row(w, words(in.App), words(in.Instance.Instance), words(in.Host), in.Standing, position, words(in.Source), age, words(why))
		}
	})
}
