package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// Instances is the answer to GET …/instances.
type Instances struct {
	Namespace events.Namespace `json:"namespace"`
	Epoch     string           `json:"epoch"`
	Position  events.Position  `json:"position" doc:"Of the newest view"`
	Instances []Instance       `json:"instances" doc:"Sorted by app and instance"`
}

// Instance is a reader as it last reported itself.
type Instance struct {
	view.Instance
	Standing   Standing  `json:"standing" enum:"current,behind,rejecting,gone"`
	ReportedAt time.Time `json:"reported_at"`
}

// Standing says how an instance does.
type Standing string

const (
	Current   Standing = "current"   // it shows the newest view
	Behind    Standing = "behind"    // it shows an older one, one of another history, or none
	Rejecting Standing = "rejecting" // it refused a change, and shows an older view
	Gone      Standing = "gone"      // it has not reported when it should have
)

type instancesInput struct{ InNamespace }

type instancesOutput struct{ Body Instances }

func (s *server) instanceReads() {
	register(s, huma.Operation{
		OperationID: "list-instances", Method: http.MethodGet, Path: "/v1/namespaces/{namespace}/instances",
		Summary: "Readers of a namespace, as they report themselves", Description: "The reports are in Redis, and only there.",
	}, s.instances)
}

func (s *server) instances(ctx context.Context, in *instancesInput) (*instancesOutput, error) {
	ns, err := in.namespace()
	if err != nil {
		return nil, err
	}
	head, err := s.log.Head(ctx)
	if err != nil {
		return nil, err
	}
	tree, _, err := s.tree(ctx, ns)
	if err != nil {
		return nil, err
	}
	touched := touchedAt(tree, ns)
	newest, reports, ok := s.views.instances(ctx, ns, head.Epoch, touched)
	if !ok {
		return nil, newProblem(ProblemUnavailable, "what instances report is in Redis, which does not answer or is not configured here")
	}
	out := Instances{Namespace: ns, Epoch: head.Epoch, Position: newest, Instances: make([]Instance, len(reports))}
	for i, r := range reports {
		out.Instances[i] = Instance{Instance: r, Standing: standing(r, head.Epoch, newest), ReportedAt: r.ReportedAt}
	}
	return &instancesOutput{Body: out}, nil
}

func standing(in view.Instance, epoch string, newest events.Position) Standing {
	switch {
	case in.Gone:
		return Gone
	case in.Rejected != nil:
		return Rejecting
	case in.Epoch == epoch && in.Position >= newest:
		return Current
	}
	return Behind
}

// instances returns the reports on ns and the position of its newest view. The log says that the view can not be beyond
// touched; where Redis is up to date, its view may be before that, since not every change set in an ancestor touches it.
func (v *views) instances(ctx context.Context, ns events.Namespace, epoch string, touched events.Position) (newest events.Position, reports []view.Instance, ok bool) {
	newest = touched
	ok = v.ask(ctx, 0, func(quick context.Context) (view.Head, error) {
		var err error
		if reports, err = view.ListInstances(quick, v.rdb, ns); err != nil {
			return view.Head{}, err
		}
		beat, err := view.LoadHeartbeat(quick, v.rdb)
		if err != nil {
			return view.Head{}, err
		}
		head, err := view.LoadHead(quick, v.rdb, ns)
		if err == nil && beat.Epoch == epoch && head.Epoch == epoch && beat.Position >= touched {
			newest = head.Position
		}
		return head, err
	})
	return newest, reports, ok || reports != nil
}
