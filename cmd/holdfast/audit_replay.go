package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/events"
)

// stepping walks through the history of a namespace.
type stepping struct {
	*cli
	cl       *client
	ns       events.Namespace
	from, to string
	state    bool
}

// auditStep is what was in force after a change set, or what the change set made differ.
type auditStep struct {
	ChangeSet   *api.ChangeSet           `json:"change_set,omitempty"` // nil: the state at which the steps begin
	Revision    events.Revision          `json:"revision"`
	Position    events.Position          `json:"position"`
	Differences []api.Difference         `json:"differences,omitempty"`
	Values      map[events.Key]api.Entry `json:"values,omitempty"`
}

func (c *cli) auditReplayCommand() *cobra.Command {
	s := &stepping{cli: c}
	cmd := &cobra.Command{
		Use:   "replay NAMESPACE",
		Short: "Step through a namespace's history, and show what was in force after each change set",
		Long: `Replay prints what was in force in a namespace at a point, and goes from there from one change set to the next: those of the
namespace, and those of the namespaces above that changed what is in force in it. Of each it prints who made it, when and why, and
what differs then; with --state all that is in force. A point is ` + points + `.

As json or jsonl it prints one step after the other, each with its change set.`,
		Example:           "  holdfast audit replay payments.prod --from 2026-11-20 --to 2026-11-21\n  holdfast audit replay payments.prod --from 41 --state",
		Args:              takes(1, 1),
		ValidArgsFunction: c.completeNamespace,
	}
	cmd.Flags().StringVar(&s.from, "from", "1", "begin at this `point`")
	cmd.Flags().StringVar(&s.to, "to", "", "end at this `point`; default now")
	cmd.Flags().BoolVar(&s.state, "state", false, "print all that is in force after each change set, not what differs")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if s.ns, err = parseNamespace(args[0]); err != nil {
			return err
		}
		if s.cl, err = c.newClient(); err != nil {
			return err
		}
		return s.run(cmd.Context())
	}
	return cmd
}

func (s *stepping) run(ctx context.Context) error {
	begin, err := s.at(ctx, "from", s.from)
	if err != nil {
		return err
	}
	query := url.Values{"order": {string(api.Oldest)}, "ancestors": {"true"}, "since": {position(begin.Position + 1)}}
	if s.to != "" {
		end, err := s.at(ctx, "to", s.to)
		if err != nil {
			return err
		}
		query.Set("until", position(end.Position))
	}
	last := auditStep{Revision: begin.Revision, Position: begin.Position, Values: begin.Values}
	if err := s.printStep(last); err != nil {
		return err
	}
	return s.cl.history(ctx, s.ns, query, 0, func(page []api.ChangeSet) error {
		for _, cs := range page {
			if last, err = s.step(ctx, last, cs); err != nil {
				return err
			}
		}
		return nil
	})
}

func position(at events.Position) string { return events.Point{Position: at}.String() }

// at returns the values at a point that a flag names.
func (s *stepping) at(ctx context.Context, flag, text string) (v api.Values, err error) {
	point, err := parsePoint(flag, text)
	if err == nil {
		err = s.cl.get(ctx, &v, s.cl.revealing(url.Values{"at": {point}}), "v1", "namespaces", string(s.ns), "values")
	}
	return v, err
}

// step prints what the next change set made of what was in force, and returns that.
func (s *stepping) step(ctx context.Context, last auditStep, cs api.ChangeSet) (auditStep, error) {
	query := url.Values{"from": {position(last.Position)}, "to": {position(cs.Position)}, "definitions": {"true"}}
	var d api.Diff
	if err := s.cl.get(ctx, &d, s.cl.revealing(query), "v1", "namespaces", string(s.ns), "diff"); err != nil {
		return last, err
	}
	next := auditStep{ChangeSet: &cs, Revision: d.To.Revision, Position: cs.Position, Differences: d.Differences}
	if cs.Namespace != s.ns && len(d.Differences) == 0 {
		return next, nil
	}
	if s.state {
		v, err := s.at(ctx, "to", position(cs.Position))
		if err != nil {
			return last, err
		}
		next.Values = v.Values
	}
	return next, s.printStep(next)
}

func (s *stepping) printStep(step auditStep) error {
	return s.print(step, func(w io.Writer) {
		fmt.Fprintf(w, "revision %d, position %d%s\n", step.Revision, step.Position, s.whose(step.ChangeSet))
		if step.Values == nil {
			for _, d := range step.Differences {
				row(w, "  "+string(d.Key), s.heldText(d.From)+" → "+s.heldText(d.To))
			}
			return
		}
		for _, key := range slices.Sorted(maps.Keys(step.Values)) {
			e := s.show(step.Values[key])
			row(w, "  "+string(key), e.text(), e.From)
		}
	})
}

// whose says who made a change set, when and why, and in which namespace if that is another.
func (s *stepping) whose(cs *api.ChangeSet) string {
	if cs == nil {
		return ": in force"
	}
	text := fmt.Sprintf(": %s, %s", cs.Time.Local().Format(time.DateTime), words(cs.Actor))
	if cs.Reason != "" {
		text += ": " + words(cs.Reason)
	}
	if cs.RestoredFrom != nil {
		text += "; " + restores(cs.RestoredFrom, cs.Namespace)
	}
	if cs.Namespace != s.ns {
		text += fmt.Sprintf(" (revision %d of %s)", cs.Revision, cs.Namespace)
	}
	return text
}
