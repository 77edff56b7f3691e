// Package config is what the events add up to: the state of namespaces, the effective values that inheritance makes of
// it, and the kinds with their checks. It is pure: no clock, no I/O.
//
// A [Tree] is the folded state of one root namespace and all below it ("payments", "payments.prod", …). Nothing is
// inherited across roots, so a tree holds all that is needed to decide a change or to compute a view. Trees are
// immutable: [Tree.Evolve] returns a new one that shares what did not change, in time that does not depend on the number
// of keys. Folding many events is done with a [Fold].
//
//	own value here ─► nearest ancestor's own value ─► default of the definition     = effective value
//	own definition here ─► nearest ancestor's own definition                        = definition
//
// A namespace inherits from the one whose name it extends by one label, if that exists; a missing namespace in between
// ends the chain. In every tree that commands have built, each effective value satisfies its definition.
package config
