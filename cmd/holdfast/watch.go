package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/redisurl"
	"github.com/holdfast-config/holdfast/readmodel"
)

// changed is one key's change as watch prints it.
type changed struct {
	Time      time.Time        `json:"time,omitzero"`
	Namespace events.Namespace `json:"namespace"`
	Key       events.Key       `json:"key"`
	Old       *shown           `json:"old"`
	New       *shown           `json:"new"`
	Actor     string           `json:"actor,omitzero"`
	Reason    string           `json:"reason,omitzero"`
	Revision  events.Revision  `json:"revision"`
	Position  events.Position  `json:"position"`
	// Origin is the namespace whose change set it was, and OriginRevision that one's revision, where it is inherited.
	Origin         events.Namespace `json:"origin,omitzero"`
	OriginRevision events.Revision  `json:"origin_revision,omitzero"`
	Resynced       bool             `json:"resynced,omitzero"` // seen by loading the view anew: who did it and why is in the log
}

func (c *cli) watchCommand() *cobra.Command {
	var count int
	cmd := &cobra.Command{
		Use:   "watch NAMESPACE [KEY …]",
		Short: "Show changes the moment a service sees them",
		Long: `Watch reads as a service does: through the readmodel, from Redis. It prints a line for every key that changes, until
Ctrl-C, and says on standard error when the view goes stale and when it is live again.`,
		Example:           "  holdfast watch postgres.main\n  holdfast watch postgres.main work_mem -o jsonl",
		Args:              takes(1, -1),
		ValidArgsFunction: c.completeNamespace,
	}
	cmd.Flags().IntVar(&count, "count", 0, "end after this many change sets with a change to show (0: never)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ns, err := parseNamespace(args[0])
		if err != nil {
			return err
		}
		for _, key := range args[1:] {
			if _, err := events.ParseKey(key); err != nil {
				return usageError{err}
			}
		}
		if c.output == "json" {
			return usageError{fmt.Errorf("watch has no end to close a JSON array with; use -o jsonl")}
		}
		return c.watch(cmd.Context(), ns, args[1:], count)
	}
	return cmd
}

func (c *cli) watch(ctx context.Context, ns events.Namespace, keys []string, count int) error {
	r, err := c.openReader(ctx, ns)
	if err != nil {
		return err
	}
	defer r.Close()
	changes := make(chan readmodel.Changed)
	stop := r.OnChange(func(ch readmodel.Changed) {
		select {
		case changes <- ch:
		case <-ctx.Done():
		}
	})
	defer stop()
	snapshot := r.Snapshot()
	c.note("watching %s: %s, revision %d, position %d", ns, c.known(keys, snapshot), snapshot.Revision(), snapshot.Position())
	check := time.NewTicker(200 * time.Millisecond)
	defer check.Stop()
	state := readmodel.Live
	for seen := 0; count <= 0 || seen < count; {
		select {
		case <-ctx.Done():
			return nil // Ctrl-C is how watching ends
		case ch := <-changes:
			shown, err := c.printChanges(ch, keys)
			if err != nil {
				return err
			}
			if shown {
				seen++
			}
		case <-check.C:
			state = c.noteState(r.Status(), state)
		}
	}
	return nil
}

// known counts the keys, and says of those that were asked for which have no value yet: a name may be mistyped.
func (c *cli) known(keys []string, s *readmodel.Snapshot) string {
	var missing []string
	for _, key := range keys {
		if _, ok := s.Get(key); !ok {
			missing = append(missing, key)
		}
	}
	text := count(s.Len(), "key")
	if len(missing) > 0 {
		text += " (no value yet: " + strings.Join(missing, ", ") + ")"
	}
	return text
}

// openReader waits for the first view, within the timeout. That a namespace is missing is asked of the api, as its view
// may only not be there yet; an api that does not answer is no hindrance.
func (c *cli) openReader(ctx context.Context, ns events.Namespace) (*readmodel.Reader, error) {
	address := c.redisAddress()
	if _, err := redisurl.Parse(address); err != nil {
		return nil, usageError{err}
	}
	cl, err := c.newClient()
	if err != nil {
		return nil, err
	}
	cl.timeout = min(cl.timeout, 3*time.Second)
	var exists any
	switch found, err := ifFound(cl.get(ctx, &exists, nil, "v1", "namespaces", string(ns))); {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		c.note("%s\ntrying Redis all the same", err)
	case !found:
		return nil, notFoundError{fmt.Errorf("namespace %s does not exist; see: holdfast list", ns)}
	}
	opening, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	r, err := readmodel.Open(opening, string(ns), readmodel.Config{Redis: address, Logger: slog.New(slog.DiscardHandler)})
	switch {
	case ctx.Err() != nil && err != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, unreachableError{fmt.Errorf("%w; is it running? (start it with: holdfast dev, or name it with --redis)", err)}
	}
	return r, nil
}

// printChanges prints what a change set did to the keys, all if there are none; false: nothing.
func (c *cli) printChanges(ch readmodel.Changed, keys []string) (bool, error) {
	printed := false
	for _, k := range ch.Changes {
		if len(keys) > 0 && !slices.Contains(keys, string(k.Key)) {
			continue
		}
		printed = true
		line := changed{Time: ch.Time, Namespace: ch.Namespace, Key: k.Key, Actor: ch.Actor, Reason: ch.Reason,
			Revision: ch.Revision, Position: ch.Position, Resynced: ch.Resynced}
		if ch.Origin != ch.Namespace {
			line.Origin, line.OriginRevision = ch.Origin, ch.OriginRevision
		}
		line.Old, line.New = c.showOrNot(k.Old), c.showOrNot(k.New)
		if err := c.printChange(line); err != nil {
			return printed, err
		}
	}
	return printed, nil
}

func (c *cli) printChange(line changed) error {
	if c.output == "yaml" {
		fmt.Fprintln(c.out, "---")
	}
	return c.print(line, func(w io.Writer) {
		when, by := line.Time.Local().Format("15:04:05.000"), "by "+words(line.Actor)
		if line.Resynced {
			when, by = nothing, "seen after a resync"
		}
		revision := fmt.Sprintf("revision %d", line.Revision)
		if line.Origin != "" {
			revision = fmt.Sprintf("revision %d of %s", line.OriginRevision, line.Origin)
		}
		row(w, when, line.Key, line.Old.text()+" → "+line.New.text(), by, words(line.Reason), revision,
			fmt.Sprintf("position %d", line.Position))
	})
}

func (c *cli) showOrNot(e *readmodel.Entry) *shown {
	if e == nil {
		return nil
	}
	s := c.show(api.Entry{Entry: *e})
	return &s
}

// noteState says when the reader's state changes.
func (c *cli) noteState(now readmodel.Status, before readmodel.State) readmodel.State {
	switch {
	case now.State == before:
	case now.State == readmodel.Live:
		c.note("live again, at position %d", now.Position)
	case now.Err != nil:
		c.note("stale, at position %d: %s", now.Position, now.Err)
	default:
		c.note("stale, at position %d", now.Position)
	}
	return now.State
}
