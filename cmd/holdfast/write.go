package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/commands"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/document"
)

// writing is what all commands that post one change set have.
type writing struct {
	*cli
	expect   int64
	expected func() bool // whether the flag is given
	dryRun   bool
}

func (c *cli) writing(cmd *cobra.Command) *writing {
	w := &writing{cli: c, expected: func() bool { return cmd.Flags().Changed("expect-revision") }}
	cmd.Flags().Int64Var(&w.expect, "expect-revision", 0, "refuse unless the namespace is at this `revision` (0: it does not exist)")
	cmd.Flags().BoolVar(&w.dryRun, "dry-run", false, "decide, and say what would happen, but change nothing")
	return w
}

func (w *writing) changeSet(ns events.Namespace, cmds ...commands.Command) commands.ChangeSet {
	cs := commands.ChangeSet{Namespace: ns, Actor: w.who(), Reason: w.reason, Commands: cmds}
	if w.expected() {
		revision := events.Revision(w.expect)
		cs.Expect.Revision = &revision
	}
	return cs
}

// post posts the change set and prints what became of the settings it is about.
// done is said before each of them.
func (w *writing) post(ctx context.Context, cs commands.ChangeSet, done string, about []address) error {
	if w.expect < 0 {
		return usageError{fmt.Errorf("--expect-revision must be 0 or more, is %d", w.expect)}
	}
	cl, err := w.newClient()
	if err != nil {
		return err
	}
	if w.dryRun {
		return w.rehearse(ctx, cl, cs)
	}
	var before []*api.Entry
	if w.output == "table" && len(about) > 0 {
		query, err := cl.now(ctx)
		if err != nil {
			return err
		}
		if before, err = cl.entries(ctx, about, query); err != nil {
			return err
		}
	}
	written, err := cl.post(ctx, cs, freshKey())
	if err != nil {
		return err
	}
	if before == nil {
		if written.Events == 0 {
			done = "is so already"
		}
		return w.printWritten(written, fmt.Sprintf("%s: %s", cs.Namespace, done))
	}
	after, err := cl.entries(ctx, about, atLeast(written.Position))
	if err != nil { // the change is made all the same
		w.note("changed, but the new values can not be read: %s", err)
		after = before
	}
	for i, a := range about {
		if err := w.printWritten(written, fmt.Sprintf("%s: %s%s", a, done, w.arrow(before[i], after[i]))); err != nil {
			return err
		}
	}
	return nil
}

func (w *writing) printWritten(written api.Written, what string) error {
	return w.print(written, func(out io.Writer) {
		fmt.Fprintf(out, "%s  revision %d  position %d\n", what, written.Revision, written.Position)
	})
}

// arrow says what was and what is.
func (w *writing) arrow(before, after *api.Entry) string {
	text := func(e *api.Entry) string {
		if e == nil {
			return nothing
		}
		s := w.show(*e)
		if e.From == "default" {
			return s.text() + " (default)"
		}
		return s.text()
	}
	switch {
	case before == nil && after == nil:
		return "no value"
	case before != nil && after != nil && *before == *after:
		return text(after) + " unchanged"
	}
	return text(before) + " → " + text(after)
}

func (w *writing) rehearse(ctx context.Context, cl *client, cs commands.ChangeSet) error {
	plan, err := cl.dryRun(ctx, cs)
	if err != nil {
		return err
	}
	return w.print(plan, func(out io.Writer) {
		for _, ev := range plan.Events {
			at := string(plan.Namespace)
			if ev.Key != "" {
				at = address{plan.Namespace, ev.Key}.String()
			}
			name, _, _ := strings.Cut(ev.Type, ".v")
			fmt.Fprintf(out, "would be: %s %s\n", name, at)
		}
		if len(plan.Events) == 0 {
			fmt.Fprintf(out, "would change nothing in %s\n", plan.Namespace)
		}
	})
}

func (c *cli) createCommand() *cobra.Command {
	var create commands.Create
	cmd := &cobra.Command{
		Use:     "create NAMESPACE",
		Short:   "Create a namespace",
		Example: "  holdfast create postgres.main --description \"the main database\"\n  holdfast create scratch --open",
		Args:    takes(1, 1),
	}
	w := c.writing(cmd)
	cmd.Flags().BoolVar(&create.Open, "open", false, "keys may be set without a definition")
	cmd.Flags().StringVar(&create.Description, "description", "", "what the namespace is for")
	cmd.Flags().StringToStringVar(&create.Labels, "label", nil, "`label=value`; may be repeated")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ns, err := parseNamespace(args[0])
		if err != nil {
			return err
		}
		return w.post(cmd.Context(), w.changeSet(ns, create), "created", nil)
	}
	return cmd
}

func (c *cli) setCommand() *cobra.Command {
	var asJSON, fromInput bool
	cmd := &cobra.Command{
		Use:   "set NAMESPACE/KEY=VALUE [KEY=VALUE …]",
		Short: "Set values; all of them or none",
		Long: `Set gives settings of one namespace their own values, all of them or none.

A value is read by its key's definition: for kind string as it stands, for any other as JSON (8192, true, {"a": 1}) or
bare text (1m30s, 64MiB). Where nothing defines the key, JSON is taken as such and anything else is a string.`,
		Example: `  holdfast set postgres.main/work_mem=8192 --reason "bigger sorts"
  holdfast set shop/db.host=db1 db.port=5433 --expect-revision 7
  holdfast set shop/db.password --stdin < password.txt`,
		Args:              takes(1, -1),
		ValidArgsFunction: c.completeAddress,
	}
	w := c.writing(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "values are JSON, whatever the definition says")
	cmd.Flags().BoolVar(&fromInput, "stdin", false, "read the value of one key from standard input, without its last line end")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		names, texts, err := c.assignments(args, fromInput)
		if err != nil {
			return err
		}
		about, err := parseAddresses(names)
		if err != nil {
			return err
		}
		var cmds []commands.Command
		for i, a := range about {
			v, err := c.valueFor(cmd.Context(), a, texts[i], asJSON)
			if err != nil {
				return err
			}
			cmds = append(cmds, commands.Set{Key: a.key, Value: v})
		}
		return w.post(cmd.Context(), w.changeSet(about[0].ns, cmds...), "", about)
	}
	return cmd
}

// assignments splits NAMESPACE/KEY=VALUE.
func (c *cli) assignments(args []string, fromInput bool) (names, texts []string, err error) {
	if fromInput {
		if len(args) != 1 || strings.Contains(args[0], "=") {
			return nil, nil, usageError{errors.New("--stdin takes one NAMESPACE/KEY, without a value")}
		}
		data, err := io.ReadAll(io.LimitReader(c.in, 2*events.MaxValueBytes+2))
		if err != nil {
			return nil, nil, fmt.Errorf("read standard input: %w", err)
		}
		return args, []string{strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")}, nil
	}
	for _, arg := range args {
		name, text, found := strings.Cut(arg, "=")
		if !found {
			return nil, nil, usageError{fmt.Errorf("%q has no value; write NAMESPACE/KEY=VALUE", arg)}
		}
		names, texts = append(names, name), append(texts, text)
	}
	return names, texts, nil
}

// valueFor reads a value's text by the definition in force.
func (c *cli) valueFor(ctx context.Context, a address, text string, asJSON bool) (events.Value, error) {
	kind := events.JSON
	if !asJSON {
		cl, err := c.newClient()
		if err != nil {
			return "", err
		}
		d, err := cl.definition(ctx, a)
		if err != nil {
			return "", err
		}
		kind = ""
		if d != nil {
			kind = d.Kind
		}
	}
	v, err := document.TextValue(kind, text)
	if err != nil {
		return "", invalidError{fmt.Errorf("refused: %s: %w", a, err)}
	}
	return v, nil
}

func (c *cli) unsetCommand() *cobra.Command {
	return c.takeAway("unset", "", "Take own values away; the inherited value or the default shows again", "back to normal",
		func(key events.Key) commands.Command { return commands.Unset{Key: key} })
}

func (c *cli) removeCommand() *cobra.Command {
	return c.takeAway("remove", "removed, ", "Take own definitions and own values away", "no longer used",
		func(key events.Key) commands.Command { return commands.Remove{Key: key} })
}

func (c *cli) takeAway(name, done, short, reason string, command func(events.Key) commands.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:               name + " NAMESPACE/KEY [KEY …]",
		Short:             short,
		Example:           "  holdfast " + name + " postgres.main/work_mem --reason \"" + reason + "\"",
		Args:              takes(1, -1),
		ValidArgsFunction: c.completeAddress,
	}
	w := c.writing(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		about, err := parseAddresses(args)
		if err != nil {
			return err
		}
		var cmds []commands.Command
		for _, a := range about {
			cmds = append(cmds, command(a.key))
		}
		return w.post(cmd.Context(), w.changeSet(about[0].ns, cmds...), done, about)
	}
	return cmd
}
