package api

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-config/holdfast/commands"
	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
)

// Restore is the body of POST …/restore.
type Restore struct {
	_         struct{}         `json:"-" additionalProperties:"false"`
	To        string           `json:"to,omitempty" doc:"The point whose values and definitions are restored: 41 (a revision), @345 (a position), a time or a tag. Needed, unless another namespace is named: then absent is now"`
	Namespace events.Namespace `json:"namespace,omitempty" doc:"Promote what is in force in this namespace; absent: restore the namespace's own past"`
	Keys      []events.Key     `json:"keys,omitempty" doc:"Only these; absent: all"`
	Reason    string           `json:"reason,omitempty"`
	Expect    RestoreExpect    `json:"expect,omitzero"`
}

// RestoreExpect is what the poster of a restore has seen, in a plan.
type RestoreExpect struct {
	_        struct{}        `json:"-" additionalProperties:"false"`
	Revision events.Revision `json:"revision,omitempty" minimum:"0" doc:"Of the namespace. Needed, but in a dry run"`
	Position events.Position `json:"position,omitempty" minimum:"0" doc:"Neither the namespace nor one that it inherits from has changed after it"`
}

// RestorePlan is the answer to POST …/restore?dry_run=true: what would be appended. Nothing was.
type RestorePlan struct {
	Namespace events.Namespace `json:"namespace"`
	Revision  events.Revision  `json:"revision" doc:"Of the namespace, now: to be expected"`
	Position  events.Position  `json:"position" doc:"Up to which was decided: to be expected"`
	DryRun    bool             `json:"dry_run" doc:"Always true"`
	From      Side             `json:"from" doc:"What would be restored. @position names just that, also when a tag moves or time passes"`
	Changes   []PlannedChange  `json:"changes" doc:"Sorted by key"`
	Left      []Left           `json:"left" doc:"What can not be restored"`
}

// Restored is the answer to POST …/restore.
type Restored struct {
	Written
	Left []Left `json:"left" doc:"What could not be restored; empty in an answer that is replayed"`
}

// PlannedChange is what a restore would do to one key.
type PlannedChange struct {
	Key    events.Key `json:"key"`
	Do     []string   `json:"do" doc:"Commands: define, set, unset, remove"`
	Before *Held      `json:"before,omitempty" doc:"In force now; absent: nothing. With the definition, if that changes"`
	After  *Held      `json:"after,omitempty" doc:"In force then"`
}

// Left is a key of which a restore can not bring something back.
type Left struct {
	Key    events.Key `json:"key"`
	Detail string     `json:"detail"`
}

type restoreInput struct {
	InNamespace
	InWrite
	InReveal
	DryRun  bool `query:"dry_run" doc:"Answer what would be appended and append nothing"`
	RawBody []byte
}

type restoreOutput struct {
	Body any // Restored or RestorePlan
}

func (s *server) restores() {
	op := huma.Operation{
		OperationID: "restore-namespace", Method: http.MethodPost, Path: "/v1/namespaces/{namespace}/restore",
		Summary: "Restore the values and definitions of an earlier point, or promote those of another namespace",
		Description: "As one ordinary change set, decided against the present state: history only grows. A change since the revision " +
			"that is expected is a conflict.",
	}
	takeJSON[Restore](s, &op, events.MaxChangeSetBytes)
	answerEither[Restored, RestorePlan](s, &op)
	register(s, op, s.restore)
	dropRawBody(op)
}

func (s *server) restore(ctx context.Context, in *restoreInput) (*restoreOutput, error) {
	ns, err := in.namespace()
	if err != nil {
		return nil, err
	}
	r, err := commands.ParseRestore(ns, in.RawBody)
	if err != nil {
		return nil, err
	}
	if r.Expect.Revision == nil && !in.DryRun {
		return nil, newProblem(ProblemExpectationMissing, "expect.revision is missing; a dry run answers what would be done, and the revision to expect")
	}
	if err := (commands.ChangeSet{Namespace: ns, Actor: in.Actor, Reason: r.Reason}).Check(); err != nil {
		return nil, err
	}
	then, err := s.asOf(ctx, cmp.Or(r.From, ns), "to", r.To.String())
	if err != nil {
		return nil, err
	}
	if in.DryRun {
		plan, err := s.planRestore(ctx, in.InReveal, ns, r, then)
		return &restoreOutput{Body: plan}, err
	}
	req := eventlog.Request{Namespace: ns, Actor: in.Actor, Reason: r.Reason, Receipt: in.receipt(in.RawBody, "restore", in.Name)}
	var left []commands.Left
	appended, err := s.log.Append(ctx, req, func(now config.Tree) (evs []events.Event, err error) {
		_, left, evs, err = decideRestore(now, ns, r, then)
		return evs, err
	})
	if err != nil {
		return nil, err
	}
	if appended.Replayed { // it was decided again all the same, but against another state
		left = nil
	}
	return &restoreOutput{Body: Restored{Written(appended), allLeft(left)}}, nil
}

func allLeft(left []commands.Left) []Left {
	all := make([]Left, len(left))
	for i, l := range left {
		all[i] = Left(l)
	}
	return all
}

// decideRestore returns the change set that restores, what it leaves, and the events it causes.
func decideRestore(now config.Tree, ns events.Namespace, r commands.RestoreRequest, then moment) (commands.ChangeSet, []commands.Left, []events.Event, error) {
	cs, left, err := r.ChangeSet(now, ns, then.tree)
	if err != nil {
		return cs, left, nil, err
	}
	evs, err := commands.Decide(now, cs)
	var refused *commands.Refused
	if errors.As(err, &refused) {
		for i, p := range refused.Problems {
			if p.Command >= 0 { // the poster has not sent it
				refused.Problems[i].Command, refused.Problems[i].Field = -1, ""
			}
		}
	}
	return cs, left, evs, err
}

func (s *server) planRestore(ctx context.Context, reveal InReveal, ns events.Namespace, r commands.RestoreRequest, then moment) (RestorePlan, error) {
	now, own, err := s.tree(ctx, ns)
	if err != nil {
		return RestorePlan{}, err
	}
	cs, left, evs, err := decideRestore(now, ns, r, then)
	if err != nil {
		return RestorePlan{}, err
	}
	plan := RestorePlan{Namespace: ns, Revision: own.Revision, Position: now.Position(), DryRun: true, From: then.side(), Left: allLeft(left)}
	does := map[events.Key][]string{}
	for _, cmd := range cs.Commands {
		key := commands.KeyOf(cmd)
		does[key] = append(does[key], cmd.Do())
	}
	keys := slices.Sorted(maps.Keys(does))
	m, err := s.maskerOf(ctx, reveal, keys, ns, then.own.Name)
	if err != nil {
		return RestorePlan{}, err
	}
	plan.Changes = make([]PlannedChange, len(keys))
	after := withEvents(now, ns, evs)
	for i, key := range keys {
		plan.Changes[i] = m.planned(key, does[key], ns, then.own.Name, now, after)
	}
	return plan, nil
}

// planned is what is told of one key. It is masked if it is sensitive on either side.
func (m *masker) planned(key events.Key, do []string, ns, from events.Namespace, now, after config.Tree) PlannedChange {
	hiding := ns
	if m.hides(from, key, false) {
		hiding = from
	}
	definitions := slices.ContainsFunc(do, func(do string) bool {
		return do == (commands.Define{}).Do() || do == (commands.Remove{}).Do()
	})
	return PlannedChange{
		Key: key, Do: do,
		Before: m.held(hiding, key, heldIn(now, ns, key), definitions),
		After:  m.held(hiding, key, heldIn(after, ns, key), definitions),
	}
}

func heldIn(t config.Tree, ns events.Namespace, key events.Key) (h config.Held) {
	if e, ok := t.Effective(ns, key); ok {
		h.Entry = &e
	}
	h.Definition, _, _ = t.Definition(ns, key)
	return h
}

// withEvents returns the tree as it would be after a change set of ns.
func withEvents(t config.Tree, ns events.Namespace, evs []events.Event) config.Tree {
	fold := config.NewFold(t)
	for i, ev := range evs {
		fold.Apply(events.Recorded{Position: t.Position() + events.Position(i) + 1, Namespace: ns, Event: ev})
	}
	return fold.Tree()
}
