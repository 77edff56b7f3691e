// Package events holds what can have happened in Holdfast: names, values, definitions, events and their stored form.
//
// An [Event] is a fact in the past tense. It is stored once, under an explicit type name with a version
// ("value.set.v1"), and never changed; golden files pin the stored form of every type. A [Recorded] event is one that
// the log has accepted: it has a [Position] in the store, belongs to revision n of its namespace, and carries who
// caused it, why and when.
//
//	change set (commands) ──decide──► []Event ──append──► []Recorded
//
// A change set's events have consecutive positions and share namespace, revision, time, actor and reason. [ChangeSets]
// cuts a run of recorded events at those borders.
//
// The package imports nothing of this module and knows neither database nor network.
package events
