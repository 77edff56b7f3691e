package view

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/events"
)

// ReplayKey is the hash of the replay that was asked for last. The active projector looks there with its heartbeat.
const ReplayKey = "holdfast:replay"

// Replay is a rebuild of all views from the log, and how far it is.
type Replay struct {
	ID        string          `json:"id"`
	By        string          `json:"by" doc:"Who asked for it"`
	AskedAt   time.Time       `json:"asked_at"`
	State     ReplayState     `json:"state" enum:"asked,running,done"`
	StartedAt time.Time       `json:"started_at,omitzero" doc:"By the projector that is at it now"`
	EndedAt   time.Time       `json:"ended_at,omitzero"`
	Views     int             `json:"views" doc:"To be rebuilt; 0 before it has started"`
	Done      int             `json:"done" doc:"Views rebuilt"`
	Keys      int             `json:"keys" doc:"Effective values in the views rebuilt"`
	Position  events.Position `json:"position,omitzero" doc:"Of the log, up to which the views rebuilt last go"`
}

// ReplayState says how far a replay is.
type ReplayState string

const (
	ReplayAsked   ReplayState = "asked" // no projector has begun
	ReplayRunning ReplayState = "running"
	ReplayDone    ReplayState = "done"
)

// UnderWay says whether r was asked for and is not done. A projector that takes over begins it anew.
func (r Replay) UnderWay() bool { return r.State == ReplayAsked || r.State == ReplayRunning }

var (
	//go:embed ask.lua
	askSource string
	ask       = redis.NewScript(askSource)
)

// AskReplay asks the active projector for a replay, which it begins with its next heartbeat. If one is under way, that is
// returned instead: its ID is another.
func AskReplay(ctx context.Context, rdb redis.UniversalClient, id, by string) (Replay, error) {
	asked := Replay{ID: id, By: by, AskedAt: time.Now(), State: ReplayAsked}
	reply, err := ask.Run(ctx, rdb, []string{ReplayKey}, asked.Fields()...).StringSlice()
	if err != nil {
		return Replay{}, fmt.Errorf("ask for a replay: %w", err)
	}
	fields := map[string]string{}
	for i := 1; i < len(reply); i += 2 {
		fields[reply[i-1]] = reply[i]
	}
	r, err := parseReplay(fields)
	if err != nil {
		return Replay{}, fmt.Errorf("ask for a replay: %w", err)
	}
	return r, nil
}

// LoadReplay reads the replay that was asked for last; [ErrAbsent] if there is none.
func LoadReplay(ctx context.Context, rdb redis.UniversalClient) (Replay, error) {
	fields, err := rdb.HGetAll(ctx, ReplayKey).Result()
	if err == nil && len(fields) == 0 {
		err = ErrAbsent
	}
	var r Replay
	if err == nil {
		r, err = parseReplay(fields)
	}
	if err != nil {
		return Replay{}, fmt.Errorf("load the replay: %w", err)
	}
	return r, nil
}

// Fields are the names and values of r's hash, in turn.
func (r Replay) Fields() []any {
	return []any{
		"id", r.ID, "by", r.By, "state", string(r.State), "asked_at", stamp(r.AskedAt), "started_at", stamp(r.StartedAt),
		"ended_at", stamp(r.EndedAt), "views", r.Views, "done", r.Done, "keys", r.Keys, "position", int64(r.Position),
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func parseReplay(fields map[string]string) (Replay, error) {
	p := parser{fields: fields}
	r := Replay{
		ID: p.text("id"), By: fields["by"], AskedAt: p.time("asked_at"), State: ReplayState(p.text("state")),
		StartedAt: p.time("started_at"), EndedAt: p.time("ended_at"), Views: int(p.number("views")), Done: int(p.number("done")),
		Keys: int(p.number("keys")), Position: events.Position(p.number("position")),
	}
	if p.err != nil {
		return Replay{}, p.err
	}
	if !r.UnderWay() && r.State != ReplayDone {
		return Replay{}, errors.Join(ErrIncomplete, fmt.Errorf("its state %q is none", r.State))
	}
	return r, nil
}
