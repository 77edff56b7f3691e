package commands

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

// Left is what a restore can not bring back.
type Left struct {
	Key    events.Key
	Detail string // why, without any value
}

// Restore returns the change set by which ns, as it is now, holds the values and definitions that were in force in
// namespace from of the tree then: as they were at an earlier point, or, with another namespace, as they are there. What
// was ns' own is made so again; what was inherited and is not any more gets an own override, and nothing else does. What is
// sensitive, then or now, stays so under the definition that is restored. Actor, reason and expectations are the
// caller's to fill in. There are no commands if all is as it was.
//
// It is about the given keys, or about all. What a change set of ns can not undo is left as it is and listed, sorted by
// key: what a namespace above defines or sets now, and values that a definition above forbids. Whether the commands are
// allowed is for [Decide] to say. The error is a [*Refused]: a namespace does not exist, a key is not known in either, or
// more than one change set would be needed.
func Restore(now config.Tree, ns events.Namespace, then config.Tree, from events.Namespace, keys []events.Key) (ChangeSet, []Left, error) {
	r := restoration{now: now, then: then, ns: ns, from: from}
	r.parent, _ = ns.Parent()
	var ok bool
	if r.space, ok = now.Namespace(ns); !ok {
		return ChangeSet{}, nil, refuseRestore(ns, ErrNamespaceNotFound, "", fmt.Sprintf("namespace %q does not exist", ns))
	}
	source, ok := then.Namespace(from)
	if !ok {
		return ChangeSet{}, nil, refuseRestore(ns, ErrNamespaceNotFound, "", fmt.Sprintf("namespace %q does not exist at that point", from))
	}
	if len(keys) == 0 {
		keys = slices.AppendSeq(slices.Collect(now.Keys(ns)), then.Keys(from))
	}
	keys = slices.Clone(keys)
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		if !now.Known(ns, key) && !then.Known(from, key) {
			return ChangeSet{}, nil, refuseRestore(ns, ErrUnknownKey, key, fmt.Sprintf("key %q is not known, now or then", key))
		}
		r.key(key)
	}
	cs := ChangeSet{Namespace: ns, Commands: slices.Concat(r.removes, r.defines, r.unsets, r.sets)}
	if err := fits(cs); err != nil {
		return ChangeSet{}, nil, err
	}
	if len(cs.Commands) > 0 {
		cs.Restored = &events.NamespaceRestored{Namespace: from, Revision: source.Revision, Position: then.Position()}
	}
	return cs, r.left, nil
}

// fits holds a change set to the limits of one that is posted.
func fits(cs ChangeSet) error {
	if n := len(cs.Commands); n > events.MaxChangeSetCommands {
		return refuseRestore(cs.Namespace, ErrLimit, "", fmt.Sprintf("%d commands are needed, more than %d; restore some keys at a time", n, events.MaxChangeSetCommands))
	}
	size := 0
	for _, cmd := range cs.Commands {
		data, err := json.Marshal(posted(cmd))
		if size += len(data); err != nil || size > events.MaxChangeSetBytes {
			return refuseRestore(cs.Namespace, ErrLimit, "", fmt.Sprintf("more than %d bytes are needed; restore some keys at a time", events.MaxChangeSetBytes))
		}
	}
	return nil
}

func refuseRestore(ns events.Namespace, err error, key events.Key, detail string) error {
	return &Refused{Namespace: ns, Problems: []Problem{{Command: none, Do: "restore", Key: key, Err: err, Detail: detail}}}
}

// restoration collects the commands, in the order in which they are posted: a value is set under the definition that is
// restored with it.
type restoration struct {
	now, then    config.Tree
	ns, from     events.Namespace
	parent       events.Namespace // of ns; empty: it has none
	space        *config.Namespace
	left         []Left
	removes      []Command
	defines      []Command
	unsets, sets []Command
}

// key adds the commands that lead from key's own state to the one that it is to have.
func (r *restoration) key(key events.Key) {
	own, _ := r.space.Key(key)
	definition, inForce := r.definition(key)
	value := r.value(key, inForce, own.Value)
	switch {
	case definition == nil && own.Definition != nil:
		r.removes = append(r.removes, Remove{Key: key})
		own = config.Key{}
	case definition != nil && (own.Definition == nil || !own.Definition.Definition.Equal(*definition)):
		r.defines = append(r.defines, Define{Key: key, Definition: *definition})
	}
	switch {
	case value == "" && own.Value != "":
		r.unsets = append(r.unsets, Unset{Key: key})
	case value != canonical(inForce, own.Value):
		r.sets = append(r.sets, Set{Key: key, Value: value})
	}
}

// definition returns the own definition that key is to have (nil: none), and the one that is in force with it.
func (r *restoration) definition(key events.Key) (own *events.Definition, inForce *config.Definition) {
	wanted, by, defined := r.then.Definition(r.from, key)
	if !defined {
		return r.undefined(key)
	}
	above, _, inherited := r.now.Definition(r.parent, key)
	made, hidden := wanted.Definition, wanted.Definition
	hidden.Sensitive = true
	if r.sensitive(key) {
		made = hidden
	}
	// What is inherited will do if it is the same, or the same and sensitive.
	if inherited && by != r.from && (above.Definition.Equal(hidden) ||
		above.Definition.Equal(wanted.Definition) && (!r.sensitive(key) || r.now.Sensitive(r.parent, key))) {
		return nil, above
	}
	return &made, &config.Definition{Definition: made, From: wanted.From, Revision: wanted.Revision, Position: wanted.Position}
}

// undefined is definition for a key that had none. Where the key had a value and has an own definition now, that stays if the
// value could not be restored without it.
func (r *restoration) undefined(key events.Key) (own *events.Definition, inForce *config.Definition) {
	above, _, inherited := r.now.Definition(r.parent, key)
	present, _ := r.space.Key(key)
	_, had := r.then.Effective(r.from, key)
	stays := had && present.Definition != nil
	switch {
	case stays && r.sensitive(key) && !r.now.Sensitive(r.parent, key):
		r.leave(key, "is sensitive and was not defined then; its definition stays, or the value would show")
	case inherited:
		r.leave(key, fmt.Sprintf("is defined in %s, which can not be undone here", above.From))
	case stays && !r.space.Open && !r.now.Known(r.parent, key):
		r.leave(key, "was not defined, and the namespace is not open; its definition stays, or it could have no value")
	default:
		return nil, nil
	}
	if stays {
		return &present.Definition.Definition, present.Definition
	}
	return nil, above
}

// sensitive says whether a definition that is made for key has to call it so: the present own one does, or one of then's, and
// none above does now. A restore never brings to light what is or was hidden: for that someone has to define it anew.
func (r *restoration) sensitive(key events.Key) bool {
	own, _ := r.space.Key(key)
	return own.Definition != nil && own.Definition.Sensitive || r.then.Sensitive(r.from, key) && !r.now.Sensitive(r.parent, key)
}

// value returns the own value that key, which has the value own now, is to have; empty: none.
func (r *restoration) value(key events.Key, inForce *config.Definition, own events.Value) events.Value {
	wanted, had := r.then.Effective(r.from, key)
	inherited, by := r.inherited(key, inForce)
	switch {
	case !had && inherited != "":
		r.leave(key, fmt.Sprintf("has a value from %s, which can not be undone here", by))
		return ""
	case !had, wanted.From != string(r.from) && wanted.Value == inherited:
		return ""
	case inForce == nil && !r.space.Open && !r.now.Known(r.parent, key):
		r.leave(key, "is not defined, and the namespace is not open")
		return ""
	case inForce == nil:
		return wanted.Value
	}
	effort := config.MaxEffort
	value, err := inForce.CheckWithin(wanted.Value, wanted.Sensitive || r.now.Sensitive(r.ns, key), &effort)
	if err != nil {
		r.leave(key, fmt.Sprintf("%s, as %s defines it", err, inForce.From))
		return canonical(inForce, own)
	}
	return value
}

// inherited returns the value that key shows without an own one, and where that comes from.
func (r *restoration) inherited(key events.Key, inForce *config.Definition) (v events.Value, by string) {
	for above := range r.now.Chain(r.parent) { // as it is stored: what shows up there is in the form of another definition
		if set, _ := above.Key(key); set.Value != "" {
			return canonical(inForce, set.Value), string(above.Name)
		}
	}
	if inForce == nil {
		return "", ""
	}
	return inForce.Default, config.FromDefault
}

func (r *restoration) leave(key events.Key, detail string) {
	r.left = append(r.left, Left{key, detail})
}

// canonical writes v as the definition's kind does, if it can.
func canonical(d *config.Definition, v events.Value) events.Value {
	if d == nil || v == "" {
		return v
	}
	if c, err := config.Canonical(d.Kind, v); err == nil {
		return c
	}
	return v
}
