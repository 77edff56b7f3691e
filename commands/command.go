package commands

import "github.com/holdfast-config/holdfast/events"

// ChangeSet is the commands posted together: one namespace, one actor, one reason; all or nothing.
type ChangeSet struct {
	Namespace events.Namespace
	Actor     string
	Reason    string
	Expect    Expect // about the namespace
	Commands  []Command
	// Restored says what the commands bring back; nil: they are no restore. [Restore] gives it, and nobody can post it.
	Restored *events.NamespaceRestored
}

// Expect is what the poster believes to be so; where it is not, the change set is refused with [ErrConflict].
// Absent (nil) fields expect nothing. It is about the state before the change set, whatever earlier commands of it do.
type Expect struct {
	// Revision of the namespace (0: it does not exist), or, in a command, of the key's own value (set, unset) or own
	// definition (define, remove); 0: it has none here.
	Revision *events.Revision `json:"revision,omitempty"`
	// Position of the key's effective entry, own or inherited, as reads show it; 0: it has none. Only in a command.
	Position *events.Position `json:"position,omitempty"`
}

// Command is one of [Create], [Define], [Set], [Unset], [Remove], [Tag], [Untag].
type Command interface {
	// Do is the command's name on the wire.
	Do() string
}

// Create makes the namespace. One that exists with the same attributes is left as it is.
type Create struct {
	Open        bool              `json:"open,omitzero"`
	Description string            `json:"description,omitzero"`
	Labels      map[string]string `json:"labels,omitempty"`
}

// Define gives a key its definition here.
type Define struct {
	Key        events.Key        `json:"key"`
	Definition events.Definition `json:"definition"`
	Expect     Expect            `json:"expect,omitzero"`
}

// Set gives a key its own value.
type Set struct {
	Key    events.Key   `json:"key"`
	Value  events.Value `json:"value"`
	Expect Expect       `json:"expect,omitzero"`
}

// Unset takes the key's own value away.
type Unset struct {
	Key    events.Key `json:"key"`
	Expect Expect     `json:"expect,omitzero"`
}

// Remove takes the key's own definition and own value away.
type Remove struct {
	Key    events.Key `json:"key"`
	Expect Expect     `json:"expect,omitzero"`
}

// Tag names a revision of the namespace. A tag that names it already is left as it is.
type Tag struct {
	Tag      events.Tag      `json:"tag"`
	Revision events.Revision `json:"revision,omitzero"` // 0: the one that the change set makes
}

// Untag frees a tag for another use.
type Untag struct {
	Tag events.Tag `json:"tag"`
}

func (Create) Do() string { return "create" }
func (Define) Do() string { return "define" }
func (Set) Do() string    { return "set" }
func (Unset) Do() string  { return "unset" }
func (Remove) Do() string { return "remove" }
func (Tag) Do() string    { return "tag" }
func (Untag) Do() string  { return "untag" }

// KeyOf returns the key that cmd is about; it is empty for a command about the namespace itself.
func KeyOf(cmd Command) events.Key {
	switch cmd := cmd.(type) {
	case Define:
		return cmd.Key
	case Set:
		return cmd.Key
	case Unset:
		return cmd.Key
	case Remove:
		return cmd.Key
	}
	return ""
}
