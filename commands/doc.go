// Package commands is what may be asked of Holdfast, and deciding it. It is pure: no clock, no I/O, no randomness.
//
//	JSON ──Parse──► ChangeSet ──Decide(tree)──► []events.Event, or *Refused
//
// A change set is all or nothing, and each of its commands sees the effect of those before it. What concerns several
// keys or namespaces at once (a definition against present values here and below, keys required by others) is judged
// after the last command, so that one change set may change a key's kind together with its value, or define two keys
// that require each other, in any order.
package commands
