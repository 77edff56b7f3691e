package api

import (
	"context"
	"encoding/json"
	"iter"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// InReveal asks for sensitive values.
type InReveal struct {
	Reveal bool `query:"reveal" doc:"Show sensitive values, which are masked otherwise; the problem may-not-reveal where the caller may not see them"`
}

// RevealIf is a [Config.MayReveal] that says the same of every caller.
func RevealIf(everyone bool) func(*http.Request) bool {
	return func(*http.Request) bool { return everyone }
}

// checkReveal refuses those who ask for sensitive values and may not see them.
func (s *server) checkReveal(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	asked, _ := strconv.ParseBool(ctx.Query("reveal")) // what is no bool is refused when it is read as a parameter
	if asked && (s.mayReveal == nil || !s.mayReveal(r)) {
		writeProblem(w, newProblem(ProblemMayNotReveal, "this server does not show sensitive values to this caller"))
		return
	}
	next(ctx)
}

// masker hides the values of sensitive keys in one answer. Everything that is answered passes one.
type masker struct {
	reveal bool
	ever   map[events.Namespace]map[events.Key]bool // that a definition has called sensitive at some time
}

// maskerOf returns the masker for an answer about the past of some namespaces. A key is sensitive there if any definition of
// it, here or above, ever said so.
func (s *server) maskerOf(ctx context.Context, in InReveal, keys []events.Key, namespaces ...events.Namespace) (*masker, error) {
	m := &masker{reveal: in.Reveal}
	if m.reveal || len(keys) == 0 {
		return m, nil
	}
	var all []events.Namespace
	for _, ns := range namespaces {
		all = append(all, ns.Lineage()...)
	}
	var err error
	m.ever, err = s.log.Sensitive(ctx, all, keys)
	return m, err
}

// maskerAt is maskerOf for the state at a point. Of the present the entries and definitions say themselves what is sensitive.
func (s *server) maskerAt(ctx context.Context, at InAt, in InReveal, keys []events.Key, ns events.Namespace) (*masker, error) {
	if at.At == "" {
		return &masker{reveal: in.Reveal}, nil
	}
	return s.maskerOf(ctx, in, keys, ns)
}

// hides says whether the value of a key is to be masked; sensitive is what is known of it from elsewhere.
func (m *masker) hides(ns events.Namespace, key events.Key, sensitive bool) bool {
	if m.reveal || sensitive {
		return !m.reveal
	}
	for _, name := range ns.Lineage() {
		if m.ever[name][key] {
			return true
		}
	}
	return false
}

// maskedValue stands for a value that is not shown.
const maskedValue events.Value = "null"

func (m *masker) entry(ns events.Namespace, key events.Key, e view.Entry) Entry {
	if m.hides(ns, key, e.Sensitive) {
		e.Value = maskedValue
		return Entry{e, true}
	}
	return Entry{e, false}
}

func (m *masker) entries(ns events.Namespace, all map[events.Key]view.Entry) map[events.Key]Entry {
	shown := make(map[events.Key]Entry, len(all))
	for key, e := range all {
		shown[key] = m.entry(ns, key, e)
	}
	return shown
}

// defaultOf hides a definition's default, if it has one; sensitive is what is known beside d.
func (m *masker) defaultOf(ns events.Namespace, key events.Key, d events.Definition, sensitive bool) (events.Definition, bool) {
	if d.Default != "" && m.hides(ns, key, d.Sensitive || sensitive) {
		d.Default = maskedValue
		return d, true
	}
	return d, false
}

// definition tells of the one in force for key in ns, whose default is hidden if one above calls the key sensitive, too.
func (m *masker) definition(t config.Tree, ns events.Namespace, key events.Key, d *config.Definition) Definition {
	out := Definition{From: d.From, Revision: d.Revision, Position: d.Position}
	out.Definition, out.Masked = m.defaultOf(ns, key, d.Definition, t.Sensitive(ns, key))
	return out
}

// event returns the stored form of an event, with its values masked.
func (m *masker) event(ns events.Namespace, ev events.Event) (stored events.Stored, masked bool, err error) {
	switch is := ev.(type) {
	case events.ValueSet:
		if masked = m.hides(ns, is.Key, false); masked {
			is.Value = maskedValue
			ev = is
		}
	case events.KeyDefined:
		is.Definition, masked = m.defaultOf(ns, is.Key, is.Definition, false)
		ev = is
	}
	stored, err = events.Encode(ev)
	return stored, masked, err
}

// own returns what a namespace itself has for a key, nil if that is nothing.
func (m *masker) own(ns events.Namespace, key events.Key, v events.Value, d *events.Definition) *Held {
	if v == "" && d == nil {
		return nil
	}
	h := &Held{}
	if v != "" {
		h.Value = json.RawMessage(v)
		if h.Masked = m.hides(ns, key, d != nil && d.Sensitive); h.Masked {
			h.Value = json.RawMessage(maskedValue)
		}
	}
	if d != nil {
		shown, masked := m.defaultOf(ns, key, *d, false)
		h.Definition, h.Masked = &shown, h.Masked || masked
	}
	return h
}

// maskerOfEvents is maskerOf for an answer that tells of events.
func (s *server) maskerOfEvents(ctx context.Context, in InReveal, evs []events.Recorded) (*masker, error) {
	return s.maskerOfKeys(ctx, in, func(yield func(events.Namespace, events.Key) bool) {
		for _, ev := range evs {
			if !yield(ev.Namespace, events.KeyOf(ev.Event)) {
				return
			}
		}
	})
}

// maskerOfKeys is maskerOf for many keys, each in its namespace.
func (s *server) maskerOfKeys(ctx context.Context, in InReveal, all iter.Seq2[events.Namespace, events.Key]) (*masker, error) {
	keys, namespaces := map[events.Key]bool{}, map[events.Namespace]bool{}
	for ns, key := range all {
		if key != "" {
			keys[key], namespaces[ns] = true, true
		}
	}
	return s.maskerOf(ctx, in, slices.Collect(maps.Keys(keys)), slices.Collect(maps.Keys(namespaces))...)
}

// maskerOfPlan is maskerOf for events that are not stored: what they define as sensitive is so, too.
func (s *server) maskerOfPlan(ctx context.Context, in InReveal, ns events.Namespace, evs []events.Event) (*masker, error) {
	planned := make([]events.Recorded, len(evs))
	for i, ev := range evs {
		planned[i] = events.Recorded{Namespace: ns, Event: ev}
	}
	m, err := s.maskerOfEvents(ctx, in, planned)
	if err != nil {
		return nil, err
	}
	for _, ev := range evs {
		if defined, ok := ev.(events.KeyDefined); ok && defined.Definition.Sensitive && !m.reveal {
			if m.ever[ns] == nil {
				m.ever[ns] = map[events.Key]bool{}
			}
			m.ever[ns][defined.Key] = true
		}
	}
	return m, nil
}

func (m *masker) recorded(rec events.Recorded) (Event, error) {
	stored, masked, err := m.event(rec.Namespace, rec.Event)
	return Event{
		Position: rec.Position, Namespace: rec.Namespace, Revision: rec.Revision, Type: stored.Type, Key: stored.Key,
		Data: stored.Data, Masked: masked, Actor: rec.Actor, Reason: rec.Reason, Time: rec.Time,
	}, err
}
