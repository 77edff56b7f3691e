package eventlog

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

// maxBatchBytes is how many bytes of events are stored together, about. One change set always fits.
const maxBatchBytes = 4 << 20

// batch is postings that are decided one after the other, each against those before it, and stored together.
type batch struct {
	base      events.Position // the head against which the first was decided
	decisions []decision
	recorded  []events.Recorded // of all, in order; their times are the database's and come with its answer
	rows      rows
	kept      receiptRows
	trees     map[events.Namespace]config.Tree // that it was decided on, by root, with what is decided so far
	seen      map[receiptID]bool
	bytes     int
}

// newBatch returns one that is decided on top of what is being stored, if anything is.
func (a *appender) newBatch() *batch {
	b := &batch{base: a.head.Position, trees: map[events.Namespace]config.Tree{}, seen: map[receiptID]bool{}}
	if a.storing != nil {
		b.base = a.storing.end()
	}
	return b
}

// room is how many postings b takes yet. A nil batch is an empty one.
func (b *batch) room() int {
	switch {
	case b == nil:
		return maxBatch
	case b.bytes > maxBatchBytes:
		return 0
	}
	return maxBatch - len(b.decisions)
}

// decision is what became of a posting.
type decision struct {
	*posting
	answer
	stores bool // events, a receipt or both
}

func (b *batch) postings() []*posting {
	ps := make([]*posting, len(b.decisions))
	for i, d := range b.decisions {
		ps[i] = d.posting
	}
	return ps
}

// stores says whether there is anything to store.
func (b *batch) stores() bool { return len(b.recorded) > 0 || len(b.kept.keys) > 0 }

// uses says whether b was decided on the tree of root.
func (b *batch) uses(root events.Namespace) bool {
	if b == nil {
		return false
	}
	_, ok := b.trees[root]
	return ok
}

// decide adds postings whose trees are at hand. Those in found have receipts, and are answered from them. It returns what
// does not fit, and each retry that came while the first is being stored: it waits for what becomes of that.
func (a *appender) decide(b *batch, ps []*posting, found receipts) (full, early []*posting) {
	for i, p := range ps {
		if b.room() == 0 {
			return ps[i:], early
		}
		d, root := decision{posting: p}, p.Namespace.Root()
		b.trees[root] = a.tree(b, root)
		switch {
		case p.decide == nil:
		case p.Receipt != nil && a.isUnderWay(b, p.Receipt.id()):
			early = append(early, p)
			continue
		case !found.answer(&d):
			a.decideOne(b, &d)
		}
		if p.Receipt != nil {
			b.seen[p.Receipt.id()] = true
		}
		b.decisions = append(b.decisions, d)
	}
	return nil, early
}

func (a *appender) isUnderWay(b *batch, id receiptID) bool {
	return b.seen[id] || a.storing != nil && a.storing.seen[id]
}

// tree returns that of root as b's next posting finds it.
func (a *appender) tree(b *batch, root events.Namespace) config.Tree {
	if t, ok := b.trees[root]; ok {
		return t
	}
	if a.storing != nil {
		if t, ok := a.storing.trees[root]; ok {
			return t
		}
	}
	return a.trees.get(root)
}

// decideOne decides d against everything before it, and adds what it stores to the batch.
func (a *appender) decideOne(b *batch, d *decision) {
	root := d.Namespace().Root()
	tree := b.trees[root]
	evs, err := a.safely(d.posting, tree)
	if err != nil {
		d.err = err
		return
	}
	var revision events.Revision
	if ns, ok := tree.Namespace(d.Namespace()); ok {
		revision = ns.Revision
	}
	if len(evs) > 0 {
		revision++
	}
	encoded, err := encode(evs)
	if err != nil {
		d.err = err
		return
	}
	fold := config.NewFold(tree)
	for i, ev := range evs {
		rec := events.Recorded{
			Position:  b.end() + 1,
			Namespace: d.Namespace(),
			Revision:  revision,
			Actor:     d.Actor,
			Reason:    d.Reason,
			Event:     ev,
		}
		fold.Apply(rec)
		b.recorded = append(b.recorded, rec)
		b.bytes += b.rows.add(rec, encoded[i])
	}
	b.trees[root] = fold.Tree()
	d.Appended = Appended{Namespace: d.Namespace(), Revision: revision, Position: b.end(), Events: len(evs)}
	d.stores = len(evs) > 0 || d.Receipt != nil
	if d.Receipt != nil {
		b.kept.add(d.Receipt, d.Appended)
	}
}

// Namespace of the change set; the name is also a field of the answer.
func (d *decision) Namespace() events.Namespace { return d.posting.Namespace }

// end is the position of the last event decided so far.
func (b *batch) end() events.Position { return b.base + events.Position(len(b.recorded)) }

// safely calls p's decision. One that panics refuses itself, not the batch.
func (a *appender) safely(p *posting, t config.Tree) (evs []events.Event, err error) {
	defer func() {
		if r := recover(); r != nil {
			// The panic's own text may hold a setting's value; the stack does not.
			a.logger.Error("deciding a change set panicked", "namespace", p.Namespace, "stack", string(debug.Stack()))
			evs, err = nil, errors.New("deciding the change set panicked: nothing was stored")
		}
	}()
	evs, err = p.decide(t)
	if err == nil && len(evs) > maxEvents {
		err = fmt.Errorf("a change set of %d events is over the limit of %d", len(evs), maxEvents)
	}
	return evs, err
}

// maxEvents is how many events a change set may have: a command causes one, and a restore says by one more what it is. A page
// of Tail must hold a whole one.
const maxEvents = events.MaxChangeSetCommands + 1

func encode(evs []events.Event) ([]events.Stored, error) {
	encoded := make([]events.Stored, len(evs))
	for i, ev := range evs {
		var err error
		if encoded[i], err = events.Encode(ev); err != nil {
			return nil, err
		}
	}
	return encoded, nil
}

// rows are the columns of the events to insert.
type rows struct {
	namespaces, types, keys, data, actors, reasons []string
	revisions                                      []int64
}

// add returns about how many bytes the row has.
func (r *rows) add(ev events.Recorded, s events.Stored) int {
	r.namespaces = append(r.namespaces, string(ev.Namespace))
	r.revisions = append(r.revisions, int64(ev.Revision))
	r.types = append(r.types, s.Type)
	r.keys = append(r.keys, string(s.Key))
	r.data = append(r.data, string(s.Data))
	r.actors = append(r.actors, ev.Actor)
	r.reasons = append(r.reasons, ev.Reason)
	const fixed = 64
	return fixed + len(ev.Namespace) + len(s.Key) + len(s.Data) + len(ev.Actor) + len(ev.Reason)
}
