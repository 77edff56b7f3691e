package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/events"
)

// historyFlags select change sets.
type historyFlags struct {
	actor, types, since, until string
	ancestors, oldest          bool
	limit                      int
}

func (c *cli) historyCommand() *cobra.Command {
	var f historyFlags
	cmd := &cobra.Command{
		Use:   "history NAMESPACE[/KEY]",
		Short: "List who changed what, when and why, the newest first",
		Long: `History lists the change sets of a namespace, or those that touch one key, with what each replaced. The table
has the first changes of a large one.

As jsonl it prints one change set a line, whole, as the api answers them.`,
		Example: "  holdfast history postgres.main\n  holdfast history postgres.main/work_mem --by ann --since 24h\n" +
			"  holdfast history postgres.main --limit 0 --oldest -o jsonl > history.jsonl",
		Args:              takes(1, 1),
		ValidArgsFunction: c.completeAddress,
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.ancestors, "ancestors", false, "changes of the namespaces that it may inherit from, too")
	flags.StringVar(&f.actor, "by", "", "only changes by this actor")
	flags.StringVar(&f.types, "type", "", "only events of these `types`, joined by commas: value.set, key.removed")
	flags.StringVar(&f.since, "since", "", "only from this `point` on: a time (2026-11-20T10:00:00Z), @position (@345), or time ago (2h)")
	flags.StringVar(&f.until, "until", "", "only up to this `point`")
	flags.BoolVar(&f.oldest, "oldest", false, "the oldest first")
	flags.IntVar(&f.limit, "limit", 50, "change sets to list, at most (0: all)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name, key, _ := strings.Cut(args[0], "/")
		ns, err := parseNamespace(name)
		if err != nil {
			return err
		}
		query, err := f.query()
		if err != nil {
			return err
		}
		if strings.Contains(args[0], "/") {
			if _, err := events.ParseKey(key); err != nil {
				return usageError{err}
			}
			query.Set("key", key)
		}
		return c.printHistory(cmd.Context(), ns, query, &f)
	}
	return cmd
}

func (f *historyFlags) query() (url.Values, error) {
	if f.limit < 0 {
		return nil, usageError{fmt.Errorf("--limit must be 0 or more, is %d", f.limit)}
	}
	query := url.Values{"order": {string(api.Newest)}}
	if f.oldest {
		query.Set("order", string(api.Oldest))
	}
	if f.ancestors {
		query.Set("ancestors", "true")
	}
	for _, p := range []struct{ name, text string }{{"since", f.since}, {"until", f.until}} {
		point, err := parsePoint(p.name, p.text)
		if err != nil {
			return nil, err
		}
		if point != "" {
			query.Set(p.name, point)
		}
	}
	for name, text := range map[string]string{"actor": f.actor, "type": f.types} {
		if text != "" {
			query.Set(name, text)
		}
	}
	return query, nil
}

func (c *cli) printHistory(ctx context.Context, ns events.Namespace, query url.Values, f *historyFlags) error {
	cl, err := c.newClient()
	if err != nil {
		return err
	}
	var all []api.ChangeSet // but for jsonl, which goes out page by page
	err = cl.history(ctx, ns, query, f.limit, func(page []api.ChangeSet) error {
		if c.output == "jsonl" {
			return printAll(c, page, nil)
		}
		all = append(all, page...)
		return nil
	})
	if err != nil || c.output == "jsonl" {
		return err
	}
	return c.print(nonNil(all), func(w io.Writer) {
		if len(all) == 0 {
			c.note("no change set of %s is what was asked for", ns)
			return
		}
		row(w, "TIME", "REVISION", "ACTOR", "REASON", "CHANGE")
		for _, cs := range all {
			c.historyRows(w, cs, ns)
		}
	})
}

func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// history calls each with the change sets of a namespace, page by page, at most limit of them (0: all).
func (c *client) history(ctx context.Context, ns events.Namespace, query url.Values, limit int, each func([]api.ChangeSet) error) error {
	query = c.revealing(query)
	for left := limit; ; {
		if limit > 0 {
			query.Set("limit", strconv.Itoa(min(left, maxHistoryPage)))
		}
		var page api.History
		if err := c.get(ctx, &page, query, "v1", "namespaces", string(ns), "history"); err != nil {
			return err
		}
		if err := each(page.History); err != nil {
			return err
		}
		left -= len(page.History)
		if page.Next == "" || limit > 0 && left <= 0 {
			return nil
		}
		query.Set("cursor", page.Next)
	}
}

const maxHistoryPage = 1000 // change sets, the most that the api gives at once

const mostShown = 10 // changes of one change set in a table

// historyRows writes a row for each change; what they have in common is in the first.
func (c *cli) historyRows(w io.Writer, cs api.ChangeSet, ns events.Namespace) {
	var texts []string
	if r := cs.RestoredFrom; r != nil {
		texts = append(texts, restores(r, cs.Namespace))
	}
	for _, ch := range cs.Changes {
		texts = append(texts, c.changeText(ch))
	}
	if more := len(texts) - mostShown; more > 1 {
		texts = append(texts[:mostShown], fmt.Sprintf("… and %d more; -o json has all", more))
	}
	revision := fmt.Sprint(cs.Revision)
	if cs.Namespace != ns {
		revision += " of " + string(cs.Namespace)
	}
	for i, text := range texts {
		if i == 0 {
			row(w, cs.Time.Local().Format(time.DateTime), revision, words(cs.Actor), words(cs.Reason), text)
		} else {
			row(w, "", "", "", "", text)
		}
	}
}

func restores(r *events.NamespaceRestored, ns events.Namespace) string {
	text := fmt.Sprintf("restores the values of revision %d", r.Revision)
	if r.Namespace != ns {
		text += " of " + string(r.Namespace)
	}
	return text
}

// changeText is a change for people.
func (c *cli) changeText(ch api.Change) string {
	if ch.Key == "" {
		return aboutNamespace(ch)
	}
	if ch.Omitted {
		return string(ch.Key) + "  (too large a change set to show)"
	}
	return string(ch.Key) + "  " + c.heldText(ch.Old) + " → " + c.heldText(ch.New)
}

// aboutNamespace is a change of the namespace itself: what happened, and to which tag.
func aboutNamespace(ch api.Change) string {
	name, _, _ := strings.Cut(ch.Type, ".v")
	_, happened, _ := strings.Cut(name, ".")
	var tagged events.NamespaceTagged
	if json.Unmarshal(ch.Data, &tagged) != nil || tagged.Tag == "" {
		return happened
	}
	happened += " " + string(tagged.Tag)
	if tagged.Revision != 0 {
		happened += fmt.Sprintf(", revision %d", tagged.Revision)
	}
	return happened
}

// heldText is what a namespace had for a key: a value, a definition, or both.
func (c *cli) heldText(h *api.Held) string {
	if h == nil {
		return nothing
	}
	var parts []string
	if h.Value != nil {
		parts = append(parts, maskedText(events.Value(h.Value), h.Masked))
	}
	if d := h.Definition; d != nil {
		text := "defined " + string(d.Kind)
		if d.Default != "" {
			text += ", default " + maskedText(d.Default, h.Masked)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

func maskedText(v events.Value, masked bool) string {
	if masked {
		return mask
	}
	return clip(plain(v))
}
