package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/events"
)

// restoring is what restore and promote have in common.
type restoring struct {
	*cli
	ns       events.Namespace // that is changed
	flag     string           // that gives point
	point    string           // that is restored
	keys     []string
	planOnly bool
	yes      bool
}

func (r *restoring) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&r.keys, "key", nil, "only this `key`; may be given more than once")
	cmd.Flags().BoolVar(&r.planOnly, "plan", false, "show what would be done, and do nothing")
	cmd.Flags().BoolVar(&r.yes, "yes", false, "do not ask")
}

func (c *cli) restoreCommand() *cobra.Command {
	r := &restoring{cli: c, flag: "to"}
	cmd := &cobra.Command{
		Use:   "restore NAMESPACE",
		Short: "Restore the values and definitions of an earlier point in a namespace's history",
		Long: `Restore makes the values and definitions that were in force in a namespace at a point of its history be in force again. It shows
what it is going to do and asks, then posts that as one ordinary change set: nothing is taken from the history, definitions still
decide what is allowed, and a restore can itself be undone by another. If the namespace has changed after the plan was
made, it is a conflict.

A point is ` + points + `.`,
		Example:           "  holdfast restore payments.prod --to 41 --reason \"the sale is over\"\n  holdfast restore payments.prod --to before-sale --key db.host --plan",
		Args:              takes(1, 1),
		ValidArgsFunction: c.completeNamespace,
	}
	cmd.Flags().StringVar(&r.point, r.flag, "", "the `point` whose values are restored")
	cmd.MarkFlagRequired(r.flag)
	r.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if r.ns, err = parseNamespace(args[0]); err != nil {
			return err
		}
		return r.run(cmd.Context(), "")
	}
	return cmd
}

func (c *cli) promoteCommand() *cobra.Command {
	r := &restoring{cli: c, flag: "at"}
	cmd := &cobra.Command{
		Use:   "promote FROM TO",
		Short: "Make one namespace hold the values and definitions that are in force in another",
		Long: `Promote makes the values and definitions that are in force in one namespace be in force in another: it shows what it is going to
do and asks, then posts that as one ordinary change set of the other, whose definitions decide what is allowed. What is new
in the first namespace after the plan was made is not part of it; if the second has changed, it is a conflict.`,
		Example:           "  holdfast promote payments.staging payments.prod --reason \"release 12\"\n  holdfast promote payments.staging payments.prod --key db.host --plan",
		Args:              takes(2, 2),
		ValidArgsFunction: c.completeNamespace,
	}
	cmd.Flags().StringVar(&r.point, r.flag, "", "promote what was in force at this `point` of the first namespace's history; default now")
	r.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		from, err := parseNamespace(args[0])
		if err != nil {
			return err
		}
		if r.ns, err = parseNamespace(args[1]); err != nil {
			return err
		}
		return r.run(cmd.Context(), from)
	}
	return cmd
}

// run plans, asks, and posts what was planned, if it still fits.
func (r *restoring) run(ctx context.Context, from events.Namespace) error {
	cl, err := r.newClient()
	if err != nil {
		return err
	}
	body := api.Restore{Namespace: from, Reason: r.reason}
	if body.To, err = parsePoint(r.flag, r.point); err != nil {
		return err
	}
	for _, text := range r.keys {
		key, err := events.ParseKey(text)
		if err != nil {
			return usageError{err}
		}
		body.Keys = append(body.Keys, key)
	}
	plan, err := cl.planRestore(ctx, r.ns, r.who(), body)
	if err != nil {
		return err
	}
	if r.planOnly {
		return r.print(plan, func(w io.Writer) { r.printPlan(w, plan) })
	}
	if len(plan.Changes) == 0 {
		r.noteLeft(plan)
		r.note("nothing to do: %s", r.done(plan))
		return nil
	}
	if err := r.ask(plan); err != nil {
		return err
	}
	// Just what was shown: a tag may move, and time goes on.
	body.To = fmt.Sprintf("@%d", plan.From.Position)
	body.Expect = api.RestoreExpect{Revision: plan.Revision, Position: plan.Position}
	written, err := cl.restore(ctx, r.ns, r.who(), freshKey(), body)
	if err != nil {
		return err
	}
	if r.yes {
		r.noteLeft(plan) // which was not shown
	}
	return r.print(written, func(w io.Writer) {
		fmt.Fprintf(w, "%s  revision %d  position %d\n", r.done(plan), written.Revision, written.Position)
	})
}

// done says what is in force when a plan is carried out.
func (r *restoring) done(plan api.RestorePlan) string {
	left := map[events.Key]bool{}
	for _, l := range plan.Left {
		left[l.Key] = true
	}
	but := ""
	if len(left) > 0 {
		but = ", but for " + count(len(left), "key")
	}
	if plan.From.Namespace != r.ns {
		return fmt.Sprintf("%s: has the values of %s, revision %d%s", r.ns, plan.From.Namespace, plan.From.Revision, but)
	}
	return fmt.Sprintf("%s: has the values of revision %d%s", r.ns, plan.From.Revision, but)
}

// ask shows the plan and returns nil if it is to be carried out.
func (r *restoring) ask(plan api.RestorePlan) error {
	if r.yes {
		return nil
	}
	in, ok := r.in.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return usageError{errors.New("there is no terminal to ask on; give --yes, or --plan to see what would be done")}
	}
	w := tabwriter.NewWriter(r.notice, 0, 0, 2, ' ', 0)
	r.printPlan(w, plan)
	w.Flush()
	verb := "restore the values of"
	if plan.From.Namespace != r.ns {
		verb = "promote the values of " + string(plan.From.Namespace) + ","
	}
	fmt.Fprintf(r.notice, "%s revision %d in %s, %s? [y/N] ", verb, plan.From.Revision, r.ns, count(len(plan.Changes), "key"))
	answer, _ := bufio.NewReader(in).ReadString('\n')
	if answer := strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("nothing was changed")
	}
	return nil
}

func (r *restoring) noteLeft(plan api.RestorePlan) {
	for _, left := range plan.Left {
		r.note("%s: %s", address{r.ns, left.Key}, left.Detail)
	}
}

// printPlan writes a plan for people.
func (r *restoring) printPlan(w io.Writer, plan api.RestorePlan) {
	if len(plan.Changes) == 0 {
		r.note("nothing to do: %s", r.done(plan))
	}
	if len(plan.Changes)+len(plan.Left) == 0 {
		return
	}
	row(w, "KEY", "DO", "NOW → THEN")
	for _, c := range plan.Changes {
		row(w, c.Key, strings.Join(c.Do, ", "), r.heldText(c.Before)+" → "+r.heldText(c.After))
	}
	for _, left := range plan.Left {
		row(w, left.Key, "leave", left.Detail)
	}
}
