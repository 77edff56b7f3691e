package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/commands"
	"github.com/holdfast-config/holdfast/events"
)

func (c *cli) tagCommand() *cobra.Command {
	var revision int64
	cmd := &cobra.Command{
		Use:   "tag NAMESPACE TAG",
		Short: "Name a revision of a namespace, such as one to restore later",
		Long: `Tag names a revision of a namespace: the present state, or an earlier one with --revision. A tag stands wherever a point
in the namespace's history is asked for. A tag in use has to be freed with untag first.`,
		Example:           "  holdfast tag payments.prod before-sale --reason \"the sale begins at noon\"\n  holdfast tag payments.prod v1.2 --revision 41",
		Args:              takes(2, 2),
		ValidArgsFunction: c.completeNamespace,
	}
	w := c.writing(cmd)
	cmd.Flags().Int64Var(&revision, "revision", 0, "the `revision` to name (default: the one that this makes, with the present values)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ns, tag, err := parseTagged(args)
		if err != nil {
			return err
		}
		if given := cmd.Flags().Changed("revision"); given && revision < 1 {
			return usageError{fmt.Errorf("--revision must be 1 or more, is %d", revision)}
		}
		return w.post(cmd.Context(), w.changeSet(ns, commands.Tag{Tag: tag, Revision: events.Revision(revision)}), "tagged "+string(tag), nil)
	}
	return cmd
}

func (c *cli) untagCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "untag NAMESPACE TAG",
		Short:             "Free a tag for another use",
		Example:           "  holdfast untag payments.prod before-sale",
		Args:              takes(2, 2),
		ValidArgsFunction: c.completeNamespace,
	}
	w := c.writing(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ns, tag, err := parseTagged(args)
		if err != nil {
			return err
		}
		return w.post(cmd.Context(), w.changeSet(ns, commands.Untag{Tag: tag}), "untagged "+string(tag), nil)
	}
	return cmd
}

func (c *cli) tagsCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "tags NAMESPACE",
		Short:             "List the tags of a namespace, and the revisions that they name",
		Example:           "  holdfast tags payments.prod",
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
			var list api.Tags
			if err := cl.get(cmd.Context(), &list, nil, "v1", "namespaces", string(ns), "tags"); err != nil {
				return err
			}
			return printAll(c, list.Tags, func(w io.Writer) {
				if len(list.Tags) == 0 {
					c.note("%s has no tags", ns)
					return
				}
				row(w, "TAG", "REVISION")
				for _, t := range list.Tags {
					row(w, t.Tag, t.Revision)
				}
			})
		},
	}
}

func parseTagged(args []string) (events.Namespace, events.Tag, error) {
	ns, err := parseNamespace(args[0])
	if err != nil {
		return "", "", err
	}
	tag, err := events.ParseTag(args[1])
	if err != nil {
		return "", "", usageError{err}
	}
	return ns, tag, nil
}
