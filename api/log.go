package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/holdfast-config/holdfast/audit"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
)

type inclusionInput struct {
	Position events.Position `query:"position" minimum:"1" required:"true" doc:"Of the event"`
	Size     events.Position `query:"size" minimum:"0" doc:"Of the tree that it is proved to be in; default: that of the newest checkpoint"`
}

type inclusionOutput struct{ Body audit.Inclusion }

type consistencyInput struct {
	From events.Position `query:"from" minimum:"1" required:"true" doc:"Size of the earlier tree"`
	To   events.Position `query:"to" minimum:"0" doc:"Size of the later tree; default: that of the newest checkpoint"`
}

type consistencyOutput struct{ Body audit.Consistency }

type tileInput struct {
	Level int   `path:"level" minimum:"0" maximum:"7"`
	N     int64 `path:"n" minimum:"0"`
}

type logEventsInput struct {
	InReveal
	After events.Position `query:"after" minimum:"0" doc:"Events after this position"`
	Until events.Position `query:"until" minimum:"0" doc:"The last position; default: that of the newest checkpoint"`
}

// rawOutput is an answer that is not JSON.
type rawOutput struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

const (
	contentTypeText  = "text/plain; charset=utf-8"
	contentTypeBytes = "application/octet-stream"
)

// logReads are the routes of the transparency log: what an auditor needs to check the log without trusting this server.
func (s *server) logReads() {
	get := func(id, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: http.MethodGet, Path: "/v1/log/" + path, Summary: summary}
	}
	raw := func(contentType string, op huma.Operation) huma.Operation {
		op.Responses = map[string]*huma.Response{"200": {
			Description: op.Summary,
			Content:     map[string]*huma.MediaType{contentType: {Schema: &huma.Schema{Type: huma.TypeString}}},
		}}
		return op
	}
	register(s, raw("text/plain", get("get-checkpoint", "checkpoint", "The newest checkpoint: a signed note of origin, size, root, epoch and key")), s.checkpoint)
	register(s, raw("text/plain", get("get-log-key", "key", "The public part of the key that signs checkpoints")), s.logKey)
	register(s, get("prove-inclusion", "inclusion", "Proof that an event is in the log"), s.inclusion)
	register(s, get("prove-consistency", "consistency", "Proof that the log begins with what it was at an earlier size"), s.consistency)
	register(s, raw(contentTypeBytes, get("get-tile", "tiles/{level}/{n}", "256 hashes of the tree, or fewer at its end")), s.tile)
	register(s, raw(ndjson, get("export-log", "events", "The newest checkpoint, and the events up to it, each with the bytes that are sealed, or with their digest where they are sensitive")), s.exportLog)
}

// sealed returns the newest checkpoint.
func (s *server) sealed(ctx context.Context) (audit.Checkpoint, string, error) {
	sealed, err := s.log.Sealed(ctx)
	if err != nil {
		return audit.Checkpoint{}, "", err
	}
	if sealed.Note == "" {
		return audit.Checkpoint{}, "", audit.ErrNotSealed
	}
	c, err := audit.OpenCheckpoint(sealed.Note, "")
	return c, sealed.Note, err
}

func (s *server) checkpoint(ctx context.Context, _ *struct{}) (*rawOutput, error) {
	_, note, err := s.sealed(ctx)
	return &rawOutput{contentTypeText, []byte(note)}, err
}

func (s *server) logKey(ctx context.Context, _ *struct{}) (*rawOutput, error) {
	c, _, err := s.sealed(ctx)
	return &rawOutput{contentTypeText, []byte(c.Key + "\n")}, err
}

func (s *server) inclusion(ctx context.Context, in *inclusionInput) (*inclusionOutput, error) {
	c, _, err := s.sealed(ctx)
	if err != nil {
		return nil, err
	}
	proof, err := audit.ProveInclusion(ctx, s.log, c.Tree, in.Position, in.Size)
	return &inclusionOutput{proof}, err
}

func (s *server) consistency(ctx context.Context, in *consistencyInput) (*consistencyOutput, error) {
	c, _, err := s.sealed(ctx)
	if err != nil {
		return nil, err
	}
	proof, err := audit.ProveConsistency(ctx, s.log, c.Tree, in.From, in.To)
	return &consistencyOutput{proof}, err
}

func (s *server) tile(ctx context.Context, in *tileInput) (*rawOutput, error) {
	hashes, err := s.log.Tile(ctx, in.Level, in.N)
	if err == nil && hashes == nil {
		err = fmt.Errorf("%w: tile %d of level %d", audit.ErrNotSealed, in.N, in.Level)
	}
	return &rawOutput{contentTypeBytes, hashes}, err
}

// exportLog answers lines, as many as there are, in little memory. An answer that can not be finished is cut off.
func (s *server) exportLog(ctx context.Context, in *logEventsInput) (*huma.StreamResponse, error) {
	if _, _, err := s.sealed(ctx); err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		r, w := humago.Unwrap(c)
		if err := s.writeLog(r.Context(), w, in); err != nil {
			noteCause(r.Context(), err)
			panic(http.ErrAbortHandler)
		}
	}}, nil
}

// rowMask hides the data of the rows that are about sensitive keys.
func (s *server) rowMask(in InReveal) audit.Mask {
	return func(ctx context.Context, rows []eventlog.Row) (hides func(eventlog.Row) bool, err error) {
		m, err := s.maskerOfKeys(ctx, in, func(yield func(events.Namespace, events.Key) bool) {
			for _, r := range rows {
				if !yield(r.Namespace, r.Key) {
					return
				}
			}
		})
		return func(r eventlog.Row) bool { return r.Key != "" && m.hides(r.Namespace, r.Key, false) }, err
	}
}

func (s *server) writeLog(ctx context.Context, w http.ResponseWriter, in *logEventsInput) error {
	closing := lifeOf(ctx).closing
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(closing, cancel)()
	stream, err := openStream(w, ndjson, closing)
	if err != nil {
		return err
	}
	var text []byte
	err = audit.Lines(ctx, s.log, in.After, in.Until, s.rowMask(in.InReveal), func(line audit.Line) error {
		if text, err = line.Append(text[:0]); err != nil {
			return err
		}
		return stream.add(text)
	})
	if err != nil {
		return err
	}
	return stream.flush()
}
