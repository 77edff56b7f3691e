package commands

import (
	"cmp"
	"encoding/json"
	"fmt"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

// RestoreRequest asks that a namespace hold what was, or is, in force elsewhere.
type RestoreRequest struct {
	To     events.Point     // in the history of From; the zero Point is now
	From   events.Namespace // empty: the namespace itself
	Keys   []events.Key     // empty: all
	Reason string
	// Revision is that of the namespace; nil: it is not said. Position is one after which nothing that the namespace has or
	// inherits has changed; nil: that is not said.
	Expect Expect
}

// ParseRestore reads a request as posted: {"to": "41", "keys": […], "reason": …, "expect": {"revision": 50}}. It needs to, or
// another namespace.
func ParseRestore(ns events.Namespace, body []byte) (RestoreRequest, error) {
	var r RestoreRequest
	p := parser{at: Problem{Command: none}}
	if err := checkJSON(body); err != nil {
		p.fail("", err)
	} else {
		p.restore(body, &r)
	}
	if len(p.list) == 0 && r.To == (events.Point{}) && (r.From == "" || r.From == ns) {
		p.fail("to", errMissing)
	}
	return r, p.refused(ns)
}

func (p *parser) restore(body []byte, r *RestoreRequest) {
	members, err := splitObject(body)
	if err != nil {
		p.fail("", fmt.Errorf("body %w", err))
		return
	}
	p.read("", members, fields{
		{"to", into(&r.To, readPoint)},
		{"namespace", into(&r.From, readNamespace)},
		{"keys", into(&r.Keys, list(readKey))},
		{"reason", into(&r.Reason, readString)},
		{"expect", p.object("expect.", fields{
			{"revision", into(&r.Expect.Revision, readNumber[events.Revision])},
			{"position", into(&r.Expect.Position, readNumber[events.Position])},
		})},
	})
}

func readPoint(raw json.RawMessage) (events.Point, error) {
	s, err := readString(raw)
	if err != nil {
		return events.Point{}, err
	}
	return events.ParsePoint(s)
}

func readNamespace(raw json.RawMessage) (events.Namespace, error) {
	s, err := readString(raw)
	if err != nil {
		return "", err
	}
	return events.ParseNamespace(s)
}

// ChangeSet returns what is to be posted to ns, decided against now, so that it holds what then says; then is the tree of
// From at the point To. The rest is as with [Restore]. It is refused with [ErrConflict] where now is not what is expected.
func (r RestoreRequest) ChangeSet(now config.Tree, ns events.Namespace, then config.Tree) (ChangeSet, []Left, error) {
	var p problems
	for space := range now.Chain(ns) {
		if at := r.Expect.Position; at != nil && space.Position > *at {
			p.add(Problem{Command: none, Field: "expect.position", Err: ErrConflict,
				Detail: fmt.Sprintf("%s has changed since position %d, at %d", space.Name, *at, space.Position)})
		}
	}
	if err := p.refused(ns); err != nil {
		return ChangeSet{}, nil, err
	}
	cs, left, err := Restore(now, ns, then, cmp.Or(r.From, ns), r.Keys)
	cs.Reason, cs.Expect.Revision = r.Reason, r.Expect.Revision
	return cs, left, err
}
