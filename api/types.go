package api

import (
	"encoding/json"
	"time"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// Headers of requests, beyond those of HTTP itself.
const (
	HeaderActor          = "Holdfast-Actor"  // who writes; default [AnonymousActor]
	HeaderIdempotencyKey = "Idempotency-Key" // 1 to 255 printable ASCII characters
	HeaderRequestID      = "X-Request-Id"    // taken from the request where it has one, and answered
)

// AnonymousActor is the actor of a write without the header [HeaderActor].
const AnonymousActor = "anonymous"

// Written is the answer to a write: POST …/commands, PUT and DELETE …/values/{key}.
type Written struct {
	Namespace events.Namespace `json:"namespace"`
	Revision  events.Revision  `json:"revision" doc:"Of the namespace, after the write"`
	Position  events.Position  `json:"position" doc:"Of the last event; if there was none, that up to which was decided"`
	Events    int              `json:"events" doc:"Events appended; 0 if the write changed nothing"`
	Time      time.Time        `json:"time"`
	Replayed  bool             `json:"replayed" doc:"Answered from the receipt of an earlier request with the same Idempotency-Key"`
}

// DryRun is the answer to POST …/commands?dry_run=true: what would be appended. Nothing was.
type DryRun struct {
	Namespace events.Namespace `json:"namespace"`
	Revision  events.Revision  `json:"revision" doc:"Of the namespace, now"`
	Position  events.Position  `json:"position" doc:"Up to which was decided"`
	DryRun    bool             `json:"dry_run" doc:"Always true"`
	Events    []PlannedEvent   `json:"events"`
}

// PlannedEvent is an event that a dry run would append.
type PlannedEvent struct {
	Type   string          `json:"type"`
	Key    events.Key      `json:"key,omitempty" doc:"Absent in events about the namespace itself"`
	Data   json.RawMessage `json:"data"`
	Masked bool            `json:"masked,omitzero" doc:"The value in data is not shown; it is null there"`
}

// SetValue is the body of PUT …/values/{key}.
type SetValue struct {
	_      struct{}     `json:"-" additionalProperties:"false"`
	Value  events.Value `json:"value"`
	Reason string       `json:"reason,omitempty"`
}

// Event is an event as the log holds it.
type Event struct {
	Position  events.Position  `json:"position"`
	Namespace events.Namespace `json:"namespace"`
	Revision  events.Revision  `json:"revision" doc:"Of the namespace; shared by the events of one change set"`
	Type      string           `json:"type"`
	Key       events.Key       `json:"key,omitempty" doc:"Absent in events about the namespace itself"`
	Data      json.RawMessage  `json:"data" doc:"The rest of the event, in its stored form"`
	Masked    bool             `json:"masked,omitzero" doc:"The value in data is not shown; it is null there"`
	Actor     string           `json:"actor"`
	Reason    string           `json:"reason,omitempty"`
	Time      time.Time        `json:"time"`
}

// Events is the answer to GET /v1/events and …/events.
type Events struct {
	Events []Event         `json:"events"`
	Next   events.Position `json:"next,omitempty" doc:"To be passed as after for the next page; absent on the last one"`
	Head   events.Position `json:"head" doc:"Where the log ended just before it was read"`
}

// Namespaces is the answer to GET /v1/namespaces.
type Namespaces struct {
	Namespaces []events.Namespace `json:"namespaces"`
	Next       events.Namespace   `json:"next,omitempty" doc:"To be passed as after for the next page; absent on the last one"`
}

// Namespace is the answer to GET …/{namespace}.
type Namespace struct {
	Namespace   events.Namespace  `json:"namespace"`
	Revision    events.Revision   `json:"revision"`
	Position    events.Position   `json:"position" doc:"Of its last event"`
	Open        bool              `json:"open" doc:"Keys may be set without a definition"`
	Description string            `json:"description,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	CreatedAt   time.Time         `json:"created_at"`
	CreatedBy   string            `json:"created_by"`
}

// Source says where an answer comes from.
type Source string

const (
	FromRedis Source = "redis" // the view in Redis
	FromLog   Source = "log"   // the log in Postgres: Redis is down, or its view does not go so far
)

// Values is the answer to GET …/values.
type Values struct {
	Namespace events.Namespace     `json:"namespace"`
	Epoch     string               `json:"epoch"`
	Revision  events.Revision      `json:"revision" doc:"Of the namespace"`
	Position  events.Position      `json:"position" doc:"Everything up to here is included"`
	Source    Source               `json:"source" enum:"redis,log"`
	Values    map[events.Key]Entry `json:"values"`
}

// Entry is an effective value and where it comes from.
type Entry struct {
	view.Entry
	Masked bool `json:"masked,omitzero" doc:"The value is sensitive and not shown; it is null here"`
}

// Value is the answer to GET …/values/{key}. The header ETag is its position, in quotes.
type Value struct {
	Namespace events.Namespace `json:"namespace"`
	Key       events.Key       `json:"key"`
	Source    Source           `json:"source" enum:"redis,log"`
	Entry
}

// Definition is a definition in force and where it comes from.
type Definition struct {
	events.Definition
	From     events.Namespace `json:"from" doc:"The namespace that gave it: this one or one above"`
	Revision events.Revision  `json:"revision" doc:"Of the namespace that gave it"`
	Position events.Position  `json:"position" doc:"Of the event that gave it"`
	Masked   bool             `json:"masked,omitzero" doc:"The default is sensitive and not shown; it is null here"`
}

// Held is what a namespace has for a key, or what it itself says of it.
type Held struct {
	Value      json.RawMessage    `json:"value,omitempty" doc:"Absent: there is none"`
	Definition *events.Definition `json:"definition,omitempty" doc:"Absent: there is none, or it is not asked for"`
	Masked     bool               `json:"masked,omitzero" doc:"A value is sensitive and not shown; it is null here"`
}

// Tags is the answer to GET …/tags.
type Tags struct {
	Namespace events.Namespace `json:"namespace"`
	Tags      []Tag            `json:"tags" doc:"In the order of the revisions"`
}

// Tag is a name for a revision.
type Tag struct {
	Tag      events.Tag      `json:"tag"`
	Revision events.Revision `json:"revision" doc:"What was in force at its end is what the tag stands for"`
}

// Definitions is the answer to GET …/definitions.
type Definitions struct {
	Namespace   events.Namespace          `json:"namespace"`
	Revision    events.Revision           `json:"revision" doc:"Of the namespace"`
	Position    events.Position           `json:"position" doc:"Everything up to here is included"`
	Definitions map[events.Key]Definition `json:"definitions"`
}

// KeyDefinition is the answer to GET …/definitions/{key}.
type KeyDefinition struct {
	Namespace events.Namespace `json:"namespace"`
	Key       events.Key       `json:"key"`
	Definition
}

// Ready is the answer to GET /readyz, with status 200 or 503.
type Ready struct {
	Ready    bool            `json:"ready" doc:"Requests are answered"`
	Degraded bool            `json:"degraded" doc:"Some part is not ok"`
	Parts    map[string]Part `json:"parts" doc:"By name: postgres, schema, redis, projector, sealing, server"`
}

// Part is the state of something the API needs.
type Part struct {
	OK  bool   `json:"ok"`
	Why string `json:"why,omitempty" doc:"Why it is not ok and what follows from that"`
	// Of schema: where the log ends. Of projector: what it has put into Redis, how many events the log is ahead, and how
	// long ago it said so. Of sealing, where the log is sealed in this process: elected, while the others stand by, and up
	// to where it has sealed.
	Position events.Position `json:"position,omitempty"`
	Lag      int64           `json:"lag,omitempty"`
	Age      string          `json:"age,omitempty"`
	Active   bool            `json:"active,omitempty"`
}
