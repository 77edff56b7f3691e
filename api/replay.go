package api

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-config/holdfast/readmodel/view"
)

type askReplayInput struct {
	Actor string `header:"Holdfast-Actor" default:"anonymous" doc:"Who asks"`
}

type replayOutput struct{ Body view.Replay }

func (s *server) replays() {
	const path = "/v1/replay"
	register(s, huma.Operation{
		OperationID: "ask-replay", Method: http.MethodPost, Path: path, Summary: "Have all views rebuilt from the log",
		Description: "The active projector begins within a second. If a replay is under way, it is answered, and no other is begun.",
	}, s.askReplay)
	register(s, huma.Operation{
		OperationID: "get-replay", Method: http.MethodGet, Path: path, Summary: "The replay that was asked for last, and how far it is",
	}, s.replay)
}

func (s *server) askReplay(ctx context.Context, in *askReplayInput) (*replayOutput, error) {
	return s.ofReplay(ctx, func(ctx context.Context, v *views) (view.Replay, error) {
		return view.AskReplay(ctx, v.rdb, rand.Text(), in.Actor)
	})
}

func (s *server) replay(ctx context.Context, _ *struct{}) (*replayOutput, error) {
	return s.ofReplay(ctx, func(ctx context.Context, v *views) (view.Replay, error) { return view.LoadReplay(ctx, v.rdb) })
}

// ofReplay answers with what do has from Redis, which is the only place that knows of replays.
func (s *server) ofReplay(ctx context.Context, do func(context.Context, *views) (view.Replay, error)) (*replayOutput, error) {
	if s.views == nil {
		return nil, newProblem(ProblemUnavailable, "replays are asked for in Redis, which is not configured here")
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	r, err := do(ctx, s.views)
	switch {
	case errors.Is(err, view.ErrAbsent), errors.Is(err, view.ErrIncomplete):
		return nil, newProblem(ProblemNoReplay, "no replay was asked for, or Redis has lost it, and its views with it, which the projector rebuilds by itself")
	case err != nil:
		p := newProblem(ProblemUnavailable, "replays are asked for in Redis, which does not answer")
		p.cause = err
		return nil, p
	}
	return &replayOutput{Body: r}, nil
}
