package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/holdfast-config/holdfast/commands"
	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/document"
)

// plan is what an import would change.
type plan struct {
	Namespace  events.Namespace `json:"namespace"`
	Create     bool             `json:"create"`
	Define     int              `json:"define"`
	Set        int              `json:"set"`
	Unchanged  int              `json:"unchanged"`
	ChangeSets int              `json:"change_sets"`
	Steps      []step           `json:"steps"`

	parts [][]commands.Command // a change set each
}

// step is one command of a plan, for people.
type step struct {
	Do  string     `json:"do"`
	Key events.Key `json:"key,omitempty"`
	Old *shown     `json:"old,omitempty"`
	New *shown     `json:"new,omitempty"`
}

// planner compares a document with what the namespace holds.
type planner struct {
	*cli
	doc   *document.Document
	now   *state // of the namespace; without a revision if it does not exist
	plan  plan
	batch batch
}

// makePlan returns the commands that make the namespace hold what the document says; what else it holds is left alone.
func (c *cli) makePlan(ns events.Namespace, doc *document.Document, now *state) (*plan, error) {
	p := &planner{cli: c, doc: doc, now: now, plan: plan{Namespace: ns, Steps: []step{}}}
	if err := p.checkValues(); err != nil {
		return nil, err
	}
	if now.Revision == 0 {
		p.plan.Create = true
		p.plan.Steps = append(p.plan.Steps, step{Do: "create"})
		p.batch.add(commands.Create{Open: doc.Open, Description: doc.Description, Labels: doc.Labels})
	}
	for _, key := range p.order() {
		p.key(key)
	}
	p.plan.parts = p.batch.finish()
	p.plan.ChangeSets = len(p.plan.parts)
	return &p.plan, nil
}

// maxRefusals are listed of a file's values.
const maxRefusals = 20

// checkValues finds what the api would refuse before anything is posted, since several change sets are not undone
// together.
func (p *planner) checkValues() error {
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(p.doc.Values)) {
		at := address{p.plan.Namespace, key}
		d, defined := p.definition(key)
		if !defined {
			if _, known := p.now.values[key]; !known && !p.doc.Open && !p.now.Open {
				errs = append(errs, invalidError{fmt.Errorf("refused: %s: nothing defines the key; --define infers a definition, --open makes a new namespace take any key", at)})
			}
			continue
		}
		v, err := (&config.Definition{Definition: d}).Check(p.doc.Values[key])
		if err != nil {
			errs = append(errs, invalidError{fmt.Errorf("refused: %s: %w", at, err)})
			continue
		}
		p.doc.Values[key] = v
	}
	if len(errs) > maxRefusals {
		errs = append(errs[:maxRefusals], fmt.Errorf("and %d more", len(errs)-maxRefusals))
	}
	return errors.Join(errs...)
}

func (p *planner) definition(key events.Key) (events.Definition, bool) {
	if d, ok := p.doc.Definitions[key]; ok {
		return d, true
	}
	d, ok := p.now.definitions[key]
	return d.Definition, ok
}

// key plans what is to be done for one key. Its definition and its value stay together, so that a change of kind and
// the value that needs it are decided at once.
func (p *planner) key(key events.Key) {
	var cmds []commands.Command
	if want, ok := p.doc.Definitions[key]; ok {
		have, defined := p.now.definitions[key]
		if defined && have.From == p.plan.Namespace && sameDefinition(have.Definition, want) {
			p.plan.Unchanged++
		} else {
			p.plan.Define++
			p.plan.Steps = append(p.plan.Steps, step{Do: "define", Key: key})
			cmds = append(cmds, commands.Define{Key: key, Definition: want})
		}
	}
	if want, ok := p.doc.Values[key]; ok {
		have, present := p.now.values[key]
		if present && have.From == string(p.plan.Namespace) && have.Value == want {
			p.plan.Unchanged++
		} else {
			p.plan.Set++
			p.plan.Steps = append(p.plan.Steps, p.setStep(key, want))
			cmds = append(cmds, commands.Set{Key: key, Value: want})
		}
	}
	p.batch.add(cmds...)
}

func (p *planner) setStep(key events.Key, v events.Value) step {
	d, _ := p.definition(key)
	entry := p.now.values[key]
	s := step{Do: "set", Key: key}
	if entry.Value != "" {
		s.Old = new(p.show(entry))
	}
	entry.Value, entry.Kind, entry.Sensitive = v, cmp.Or(d.Kind, config.Infer(v)), d.Sensitive || entry.Sensitive
	entry.From, entry.Masked = string(p.plan.Namespace), false
	s.New = new(p.show(entry))
	return s
}

// order is all keys of the document, those that others require first, for where one change set does not hold them all.
func (p *planner) order() []events.Key {
	var list []events.Key
	done := map[events.Key]bool{}
	var visit func(key events.Key)
	visit = func(key events.Key) {
		if done[key] {
			return
		}
		done[key] = true
		for _, required := range p.doc.Definitions[key].Requires {
			visit(required)
		}
		list = append(list, key)
	}
	keys := maps.Clone(p.doc.Values)
	if keys == nil {
		keys = map[events.Key]events.Value{}
	}
	for key := range p.doc.Definitions {
		keys[key] = ""
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		visit(key)
	}
	return list
}

func sameDefinition(a, b events.Definition) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// print writes the plan for people.
func (p *plan) print(w io.Writer) {
	for _, s := range p.Steps {
		switch s.Do {
		case "create":
			row(w, s.Do, p.Namespace)
		case "set":
			row(w, s.Do, s.Key, s.Old.text()+" → "+s.New.text())
		default:
			row(w, s.Do, s.Key)
		}
	}
}

func (p *plan) summary() string {
	text := fmt.Sprintf("%s: define %d, set %d, unchanged %d", p.Namespace, p.Define, p.Set, p.Unchanged)
	if p.Create {
		text = fmt.Sprintf("%s: create it, define %d, set %d", p.Namespace, p.Define, p.Set)
	}
	if p.ChangeSets > 1 {
		text += fmt.Sprintf("; in %d change sets, each all or nothing, but not all of them together", p.ChangeSets)
	}
	return text
}

// batch cuts commands into change sets within the limits.
type batch struct {
	parts [][]commands.Command
	open  []commands.Command
	bytes int
}

// maxBatchBytes leaves room for the reason and what else a change set has beside its commands.
const maxBatchBytes = events.MaxChangeSetBytes - 2*events.MaxReasonBytes - 1<<10

// add adds commands that stay together.
func (b *batch) add(cmds ...commands.Command) {
	size := 0
	for _, cmd := range cmds {
		text, _ := json.Marshal(cmd) // commands are plain data
		size += len(text) + len(`{"do":"define"},`)
	}
	if len(b.open)+len(cmds) > events.MaxChangeSetCommands || b.bytes+size > maxBatchBytes {
		b.finish()
	}
	b.open, b.bytes = append(b.open, cmds...), b.bytes+size
}

func (b *batch) finish() [][]commands.Command {
	if len(b.open) > 0 {
		b.parts, b.open, b.bytes = append(b.parts, b.open), nil, 0
	}
	return b.parts
}
