package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/commands"
	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/document"
)

// importing is an import's flags.
type importing struct {
	*cli
	file, format       string
	define, plan, open bool
}

func (c *cli) importCommand() *cobra.Command {
	m := importing{cli: c}
	cmd := &cobra.Command{
		Use:   "import NAMESPACE -f FILE",
		Short: "Make a namespace hold what a file says",
		Long: `Import reads our own document, as export writes it, or plain YAML, JSON, .env or properties, creates the namespace where
it is missing, and posts what differs. Keys that the file does not name are left alone. In plain files, nested names are
joined with dots. Up to 1,000 commands and 1 MiB are one change set; a bigger file needs several, which take effect one
after the other: run it again after a failure, and it goes on with what is missing.`,
		Example: `  holdfast import postgres.main -f examples/postgres-settings.yaml
  holdfast import shop -f .env --define --plan`,
		Args:              takes(1, 1),
		ValidArgsFunction: c.completeNamespace,
	}
	flags := cmd.Flags()
	flags.StringVarP(&m.file, "file", "f", "", "file to read; - is standard input")
	flags.StringVar(&m.format, "format", string(document.Auto), "auto, holdfast, yaml, json, env or properties")
	flags.BoolVar(&m.define, "define", false, "define keys that nothing defines, by the kind that their values show")
	flags.BoolVar(&m.plan, "plan", false, "show what would be done, line by line, and do nothing")
	flags.BoolVar(&m.open, "open", false, "create the namespace open, if it is missing")
	if err := cmd.MarkFlagRequired("file"); err != nil {
		panic(err) // the flag stands above
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ns, err := parseNamespace(args[0])
		if err != nil {
			return err
		}
		return m.run(cmd.Context(), ns)
	}
	return cmd
}

func (m *importing) run(ctx context.Context, ns events.Namespace) error {
	doc, err := m.read()
	if err != nil {
		return err
	}
	cl, err := m.newClient()
	if err != nil {
		return err
	}
	now, err := cl.state(ctx, ns, atFlag{})
	if found, err := ifFound(err); err != nil {
		return err
	} else if !found {
		now = &state{}
	}
	if err := m.complete(doc, now); err != nil {
		return err
	}
	p, err := m.makePlan(ns, doc, now)
	if err != nil {
		return err
	}
	m.note("%s", p.summary())
	if m.plan {
		if err := m.rehearse(ctx, cl, p); err != nil {
			return err
		}
		return m.print(p, p.print)
	}
	return m.post(ctx, cl, p)
}

func (m *importing) read() (*document.Document, error) {
	var data []byte
	var err error
	if m.file == "-" {
		data, err = io.ReadAll(io.LimitReader(m.in, document.MaxBytes+1))
	} else {
		data, err = os.ReadFile(m.file)
	}
	if err != nil {
		return nil, err
	}
	doc, err := document.Read(m.file, data, document.Format(m.format))
	if err != nil && errors.As(err, new(*document.Error)) {
		name := m.file
		if name == "-" {
			name = "standard input"
		}
		return nil, fmt.Errorf("%s is not imported:\n%w", name, err)
	} else if err != nil {
		err = fmt.Errorf("--format: %w", err)
		if filepath.Ext(m.file) == ".jsonl" {
			err = fmt.Errorf("%w; change sets, one a line, are for: holdfast apply", err)
		}
		return nil, usageError{err}
	}
	return doc, nil
}

// complete gives a plain document what it can not say itself.
func (m *importing) complete(doc *document.Document, now *state) error {
	doc.Open = doc.Open || m.open
	if now.Revision > 0 && !doc.Plain && (doc.Open != now.Open || doc.Description != now.Description) {
		m.note("%s exists; whether it is open, and its description, stay as they are", now.Namespace.Namespace)
	}
	known := func(key events.Key) bool { _, ok := now.definitions[key]; return ok }
	err := doc.Interpret(func(key events.Key) events.Kind { return now.definitions[key].Kind })
	if err != nil {
		return invalidError{err}
	}
	if m.define {
		doc.Define(known)
	}
	for key, d := range doc.Definitions {
		checked, err := config.CheckDefinition(d)
		if err != nil {
			return invalidError{fmt.Errorf("refused: definition of %s: %w", key, err)}
		}
		doc.Definitions[key] = checked
	}
	return nil
}

// rehearse lets the api judge the plan, as far as it can before something is posted: the first change set.
func (m *importing) rehearse(ctx context.Context, cl *client, p *plan) error {
	if len(p.parts) == 0 {
		return nil
	}
	_, err := cl.dryRun(ctx, m.changeSet(p, 0))
	return err
}

func (m *importing) changeSet(p *plan, i int) commands.ChangeSet {
	reason := m.reason
	if reason == "" {
		reason = "import"
		if m.file != "-" {
			reason += " of " + m.file
		}
	}
	return commands.ChangeSet{Namespace: p.Namespace, Actor: m.who(), Reason: reason, Commands: p.parts[i]}
}

func (m *importing) post(ctx context.Context, cl *client, p *plan) error {
	bar := m.progress(len(p.parts), "change sets")
	defer bar.Close()
	written := api.Written{Namespace: p.Namespace}
	events := 0
	for i := range p.parts {
		w, err := cl.post(ctx, m.changeSet(p, i), freshKey())
		if err != nil && i > 0 {
			return fmt.Errorf("%d of %d change sets are done, up to revision %d; run the import again to go on after this:\n%w",
				i, len(p.parts), written.Revision, err)
		} else if err != nil {
			return err
		}
		written = w
		events += w.Events
		_ = bar.Add(1) // that the bar can not be drawn is no reason to stop
	}
	if len(p.parts) == 0 {
		m.note("nothing to do")
		return nil
	}
	written.Events = events
	return m.print(written, func(out io.Writer) {
		fmt.Fprintf(out, "%s: %s in %s  revision %d  position %d\n", p.Namespace,
			count(events, "event"), count(len(p.parts), "change set"), written.Revision, written.Position)
	})
}
