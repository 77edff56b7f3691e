package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-config/holdfast/audit"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

const (
	readyPath  = "/readyz"
	readyRoute = http.MethodGet + " " + readyPath

	readyTimeout = 2 * time.Second  // for Postgres
	silentFor    = 10 * time.Second // a heartbeat is due each second
)

type liveOutput struct {
	Body struct {
		OK bool `json:"ok"`
	}
}

type readyOutput struct {
	Status int
	Body   Ready
}

func (s *server) health() {
	live := huma.Operation{OperationID: "livez", Method: http.MethodGet, Path: "/livez", Summary: "Whether the process answers"}
	register(s, live, func(context.Context, *struct{}) (*liveOutput, error) {
		out := &liveOutput{}
		out.Body.OK = true
		return out, nil
	})
	ready := huma.Operation{
		OperationID: "readyz", Method: http.MethodGet, Path: readyPath,
		Summary: "Whether requests can be answered, and which part is not as it should be",
	}
	answerAlso[Ready](s, &ready, "503", "Requests can not be answered")
	register(s, ready, s.ready)
}

// ready: without Postgres nothing can be written nor known to exist, so it must be there. Without Redis or the projector
// reads go on from the log. Sealing has nothing to do with being ready.
func (s *server) ready(ctx context.Context, _ *struct{}) (*readyOutput, error) {
	body := Ready{Parts: map[string]Part{"server": {OK: true}}}
	if lifeOf(ctx).draining.Err() != nil {
		body.Parts["server"] = Part{Why: "is shutting down"}
	}
	s.readyLog(ctx, body.Parts)
	body.Ready = body.Parts["server"].OK && body.Parts["postgres"].OK && body.Parts["schema"].OK
	if s.views != nil {
		s.readyViews(ctx, body.Parts)
	}
	if s.sealer != nil {
		body.Parts["sealing"] = sealingPart(s.sealer())
	}
	for _, part := range body.Parts {
		body.Degraded = body.Degraded || !part.OK
	}
	out := &readyOutput{Status: http.StatusOK, Body: body}
	if !body.Ready {
		out.Status = http.StatusServiceUnavailable
	}
	return out, nil
}

func (s *server) readyLog(ctx context.Context, parts map[string]Part) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := s.log.Ping(ctx); err != nil {
		parts["postgres"] = Part{Why: "does not answer; nothing can be written"}
		parts["schema"] = Part{Why: "unknown while Postgres does not answer"}
		return
	}
	parts["postgres"] = Part{OK: true}
	head, err := s.log.Head(ctx)
	if err != nil {
		parts["schema"] = Part{Why: "the log can not be read; run holdfast migrate"}
		return
	}
	parts["schema"] = Part{OK: true, Position: head.Position}
}

func (s *server) readyViews(ctx context.Context, parts map[string]Part) {
	beat, err := s.views.heartbeat(ctx)
	switch {
	case err == nil:
		parts["redis"] = Part{OK: true}
		parts["projector"] = heartbeatPart(beat, time.Now())
	case errors.Is(err, view.ErrAbsent):
		parts["redis"] = Part{OK: true}
		parts["projector"] = Part{Why: "has never written to this Redis; values are read from the log"}
	default:
		parts["redis"] = Part{Why: "does not answer; values are read from the log, and services go on with what they have"}
		parts["projector"] = Part{Why: "unknown while Redis does not answer"}
	}
	if s.projector == nil {
		return
	}
	// One that stands by is well as long as the active one, whose heartbeat this is, is.
	if st := s.projector(); st.Err != nil {
		parts["projector"] = Part{Why: "does not get on; its log says why", Position: events.Position(st.Position), Lag: st.Head - st.Position}
	}
}

// sealingPart: one that stands by has no cause for worry of its own.
func sealingPart(st audit.SealerStatus) Part {
	part := Part{OK: true, Active: st.Active, Position: st.Size}
	if st.Active && st.Err != nil {
		part.OK, part.Why = false, st.Err.Error()
	}
	return part
}

func heartbeatPart(beat view.Heartbeat, now time.Time) Part {
	age := max(0, now.Sub(beat.UpdatedAt)).Round(time.Millisecond)
	part := Part{OK: true, Position: beat.Position, Lag: int64(beat.Head - beat.Position), Age: age.String()}
	if age > silentFor {
		part.OK = false
		part.Why = fmt.Sprintf("last heard of %s ago; the views stay at position %d; ask with min_position to read later ones", age.Round(time.Second), beat.Position)
	}
	return part
}
