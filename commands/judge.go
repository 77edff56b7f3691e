package commands

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

// judge checks, after the last command, what concerns several keys or namespaces at once, wherever a command reaches:
//
//   - an effective value satisfies the definition in force where it shows, inherited or not;
//   - an own value has a definition, unless its namespace is open or inherits the key;
//   - every key that a definition in force requires is known.
//
// It looks at the touched keys, here and below, and at all keys below a namespace that was created, since those begin to
// inherit.
func (d *decision) judge() {
	j := judgement{decision: d, groups: map[group]*Problem{}}
	touched := slices.Sorted(maps.Keys(d.touched))
	j.namespace(d.cs.Namespace, touched)
	for below := range d.now.Below(d.cs.Namespace) {
		keys := touched
		if d.created != none {
			keys = slices.Collect(d.now.Keys(below.Name))
		}
		j.namespace(below.Name, keys)
	}
	j.report()
}

// judgement groups what is violated by the command that is to blame and the reason.
type judgement struct {
	*decision
	groups map[group]*Problem
}

type group struct {
	command int
	err     error
}

func (j *judgement) namespace(ns events.Namespace, keys []events.Key) {
	var gone []events.Key
	for _, key := range keys {
		definition, _, defined := j.now.Definition(ns, key)
		if defined {
			j.value(ns, key, definition)
			j.requirements(ns, key, definition.Requires)
		} else if !j.now.Known(ns, key) {
			if j.before.Known(ns, key) {
				gone = append(gone, key)
			}
		} else {
			j.undefined(ns, key)
		}
	}
	if len(gone) > 0 {
		j.requirers(ns, gone)
	}
}

// value checks the effective value of a defined key. A default was checked with its definition.
func (j *judgement) value(ns events.Namespace, key events.Key, definition *config.Definition) {
	entry, ok := j.now.Effective(ns, key)
	if !ok || entry.From == config.FromDefault {
		return
	}
	_, err := definition.CheckWithin(entry.Value, entry.Sensitive, &j.effort)
	if err == nil {
		return
	}
	command, isValue := j.blame(key, entry.From == string(j.cs.Namespace) && definition.From != j.cs.Namespace)
	reason := ErrInvalidDefinition
	if isValue {
		reason = ErrInvalidValue
	}
	j.violated(command, reason, Violation{ns, key, err.Error()})
}

func (j *judgement) requirements(ns events.Namespace, key events.Key, required []events.Key) {
	for _, r := range required {
		if j.now.Known(ns, r) {
			continue
		}
		culprit := key
		if _, ok := j.touched[r]; ok {
			culprit = r
		}
		command, _ := j.blame(culprit, false)
		j.violated(command, ErrRequired, Violation{ns, key, fmt.Sprintf("requires %s, which does not exist", r)})
	}
}

// undefined checks that a value without a definition may be: its namespace is open, or inherits the key.
func (j *judgement) undefined(ns events.Namespace, key events.Key) {
	own := true
	for space := range j.now.Chain(ns) {
		_, has := space.Key(key)
		if own && (!has || space.Open) || !own && has {
			return
		}
		own = false
	}
	command, _ := j.blame(key, false)
	j.violated(command, ErrRequired, Violation{ns, key, "has a value that would be left without a definition"})
}

// requirers finds the definitions in force in ns that require keys which are gone.
func (j *judgement) requirers(ns events.Namespace, gone []events.Key) {
	for space := range j.now.Chain(ns) {
		for key, own := range space.Keys() {
			if own.Definition == nil || len(own.Definition.Requires) == 0 {
				continue
			}
			if _, touched := j.touched[key]; touched {
				continue // its requirements were checked
			}
			if inForce, _, _ := j.now.Definition(ns, key); inForce != own.Definition {
				continue
			}
			for _, r := range own.Definition.Requires {
				if _, isGone := slices.BinarySearch(gone, r); isGone {
					command, _ := j.blame(r, false)
					j.violated(command, ErrRequired, Violation{ns, key, fmt.Sprintf("requires %s, which would be gone", r)})
				}
			}
		}
	}
}

// blame returns the command that a violation at key comes from, and whether it is about the key's value. Preferred is
// the one that changed what is said to be wrong; a key that no command touched began to be inherited by a create.
func (j *judgement) blame(key events.Key, value bool) (command int, isValue bool) {
	t, ok := j.touched[key]
	switch {
	case !ok:
		return j.created, false
	case t.value != none && (value || t.shape == none):
		return t.value, true
	}
	return t.shape, false
}

func (j *judgement) violated(command int, reason error, v Violation) {
	g := group{command, reason}
	p := j.groups[g]
	if p == nil {
		p = &Problem{Command: command, Err: reason}
		j.groups[g] = p
	}
	p.Violations = append(p.Violations, v)
}

// report makes problems of the groups, in the order of the commands.
func (j *judgement) report() {
	all := slices.SortedFunc(maps.Values(j.groups), func(a, b *Problem) int {
		return cmp.Or(cmp.Compare(a.Command, b.Command), strings.Compare(a.Err.Error(), b.Err.Error()))
	})
	for _, p := range all {
		j.name(p)
		slices.SortStableFunc(p.Violations, func(a, b Violation) int {
			return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Key, b.Key))
		})
		p.Detail = explain(p)
		if len(p.Violations) > maxProblems {
			p.Violations = p.Violations[:maxProblems]
		}
		j.add(*p)
	}
}

// name says which command the problem is about, and which field of it.
func (j *judgement) name(p *Problem) {
	if p.Command == none {
		return
	}
	cmd := j.cs.Commands[p.Command]
	p.Do = cmd.Do()
	switch cmd := cmd.(type) {
	case Define:
		p.Key, p.Field = cmd.Key, "definition"
		if p.Err == ErrRequired {
			p.Field = "definition.requires"
		}
	case Set:
		p.Key, p.Field = cmd.Key, "value"
	case Unset:
		p.Key, p.Field = cmd.Key, "key"
	case Remove:
		p.Key, p.Field = cmd.Key, "key"
	}
}

const maxExplained = 3 // violations in the text of a problem; it lists more

func explain(p *Problem) string {
	var b strings.Builder
	switch {
	case p.Err == ErrRequired:
	case p.Err == ErrInvalidValue:
		b.WriteString("a definition does not allow what would show: ")
	default:
		b.WriteString("present values violate the definition: ")
	}
	for i, v := range p.Violations {
		if i == maxExplained {
			fmt.Fprintf(&b, " and %d more", len(p.Violations)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s/%s %s", v.Namespace, v.Key, v.Detail)
	}
	return b.String()
}
