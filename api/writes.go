package api

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-config/holdfast/commands"
	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
)

// principal owns the receipts of idempotent requests. All are one's until there is authentication.
const principal = "anonymous"

// InWrite are the headers of every write.
type InWrite struct {
	Actor          string `header:"Holdfast-Actor" default:"anonymous" doc:"Who writes"`
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"Makes a retry of the same request find the answer of the first; kept for at least 7 days"`
}

type postInput struct {
	InNamespace
	InWrite
	InReveal
	DryRun  bool `query:"dry_run" doc:"Answer what would be appended and append nothing"`
	RawBody []byte
}

type postOutput struct {
	Body any // Written or DryRun
}

func (s *server) writes() {
	post := huma.Operation{
		OperationID: "post-commands", Method: http.MethodPost, Path: "/v1/namespaces/{namespace}/commands",
		Summary: "Post a change set", Description: "All commands or none; each sees the effect of those before it.",
	}
	takeJSON[changeSetBody](s, &post, events.MaxChangeSetBytes)
	answerEither[Written, DryRun](s, &post)
	register(s, post, s.post)
	dropRawBody(post)
}

func (s *server) post(ctx context.Context, in *postInput) (*postOutput, error) {
	ns, err := in.namespace()
	if err != nil {
		return nil, err
	}
	cs, err := commands.Parse(ns, in.Actor, in.RawBody)
	if err != nil {
		return nil, err
	}
	if in.DryRun {
		plan, err := s.plan(ctx, cs, in.InReveal)
		return &postOutput{Body: plan}, err
	}
	written, err := s.append(ctx, cs, in.receipt(in.RawBody, http.MethodPost, in.Name), nil)
	return &postOutput{Body: written}, err
}

// append decides cs and appends its events. see, if any, is shown the tree that cs was decided against.
func (s *server) append(ctx context.Context, cs commands.ChangeSet, receipt *eventlog.Receipt, see func(config.Tree)) (Written, error) {
	req := eventlog.Request{Namespace: cs.Namespace, Actor: cs.Actor, Reason: cs.Reason, Receipt: receipt}
	appended, err := s.log.Append(ctx, req, func(t config.Tree) ([]events.Event, error) {
		if see != nil {
			see(t)
		}
		return commands.Decide(t, cs)
	})
	return Written(appended), err
}

// plan decides cs and appends nothing.
func (s *server) plan(ctx context.Context, cs commands.ChangeSet, reveal InReveal) (DryRun, error) {
	tree, err := s.log.Present(ctx, cs.Namespace)
	if err != nil {
		return DryRun{}, err
	}
	evs, err := commands.Decide(tree, cs)
	if err != nil {
		return DryRun{}, err
	}
	plan := DryRun{Namespace: cs.Namespace, Position: tree.Position(), DryRun: true, Events: []PlannedEvent{}}
	if ns, ok := tree.Namespace(cs.Namespace); ok {
		plan.Revision = ns.Revision
	}
	m, err := s.maskerOfPlan(ctx, reveal, cs.Namespace, evs)
	if err != nil {
		return DryRun{}, err
	}
	for _, ev := range evs {
		stored, masked, err := m.event(cs.Namespace, ev)
		if err != nil {
			return DryRun{}, err
		}
		plan.Events = append(plan.Events, PlannedEvent{Type: stored.Type, Key: stored.Key, Data: stored.Data, Masked: masked})
	}
	return plan, nil
}

// receipt returns nil without an Idempotency-Key. The hash is over all that makes a request the same request; what lists
// the method and whatever else of it is not in the body.
func (in InWrite) receipt(body []byte, what ...string) *eventlog.Receipt {
	if in.IdempotencyKey == "" {
		return nil
	}
	hash := sha256.New()
	part := func(b []byte) {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(b)))
		hash.Write(size[:])
		hash.Write(b)
	}
	part([]byte(in.Actor))
	for _, w := range what {
		part([]byte(w))
	}
	part(body)
	return &eventlog.Receipt{Principal: principal, Key: in.IdempotencyKey, Hash: [32]byte(hash.Sum(nil))}
}
