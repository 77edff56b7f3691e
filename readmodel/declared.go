package readmodel

import (
	"cmp"
	"log/slog"
	"slices"
	"sync"

	"github.com/holdfast-config/holdfast/events"
)

// Declared is a key that a program declared, whatever its type: a [*Key].
type Declared interface {
	// Name is the key's name.
	Name() string

	number() int
	declaredKind() events.Kind
	// next returns what to hold for the key in s, when before was held until then (nil: nothing). It returns before if the
	// key did not change.
	next(before holding, s *Snapshot) holding
}

// Refused is a value that the program's own declaration of a key refused. What was held before is used in its place.
type Refused struct {
	Key      events.Key
	Revision events.Revision // of the refused entry, see [Entry]
	Position events.Position // of the event that gave it
	Err      error           // why; it never repeats the value
}

// holding is a *held[T].
type holding interface {
	trouble() *Refused
	newest() *item
}

// maxDeclared is how many keys of a process can have a place in the tables: a program that declares keys again and again
// costs time, not memory without end.
const maxDeclared = 1 << 14

// table is what a snapshot holds for the keys that its reader knows. It never changes.
type table struct {
	held    []holding // by the key's number; nil: not known when the table was made
	refused []Refused // sorted by key
}

var emptyTable = new(table)

func (t *table) at(id int) holding {
	if id < len(t.held) {
		return t.held[id]
	}
	return nil
}

// with returns a table in which these are held.
func (t *table) with(changed map[int]holding) *table {
	if len(changed) == 0 {
		return t
	}
	size, troubled := len(t.held), len(t.refused) > 0
	for id, h := range changed {
		size, troubled = max(size, id+1), troubled || h.trouble() != nil
	}
	next := &table{held: make([]holding, size)}
	copy(next.held, t.held)
	for id, h := range changed {
		next.held[id] = h
	}
	if troubled {
		next.refused = refusals(next.held)
	}
	return next
}

func refusals(all []holding) []Refused {
	var refused []Refused
	for _, h := range all {
		if h != nil && h.trouble() != nil {
			refused = append(refused, *h.trouble())
		}
	}
	slices.SortStableFunc(refused, func(a, b Refused) int { return cmp.Compare(a.Key, b.Key) })
	return slices.CompactFunc(refused, func(a, b Refused) bool { // declared twice alike
		return a.Key == b.Key && a.Position == b.Position && a.Err.Error() == b.Err.Error()
	})
}

// keys are the declared keys that a reader knows: those given to it and those it was asked for.
type keys struct {
	log *slog.Logger

	mu     sync.Mutex
	known  map[int]Declared
	byName map[events.Key][]Declared
	first  map[int]holding // what was held when the key was first asked for
	told   map[int]*item   // the last refused item that the log was told of
}

func newKeys(log *slog.Logger, declared []Declared) *keys {
	k := &keys{
		log: log, known: map[int]Declared{}, byName: map[events.Key][]Declared{},
		first: map[int]holding{}, told: map[int]*item{},
	}
	for _, d := range declared {
		k.add(d)
	}
	return k
}

// add makes d known. Called with k.mu held, or before the keys are shared.
func (k *keys) add(d Declared) {
	if _, ok := k.known[d.number()]; ok || d.number() >= maxDeclared {
		return
	}
	k.known[d.number()] = d
	k.byName[events.Key(d.Name())] = append(k.byName[events.Key(d.Name())], d)
}

// adopt returns what is held for d in s, whose table has nothing for it, and puts it there.
func (k *keys) adopt(d Declared, s *Snapshot) holding {
	k.mu.Lock()
	defer k.mu.Unlock()
	id := d.number()
	if id >= maxDeclared {
		return d.next(nil, s)
	}
	k.add(d)
	if shown := s.reader.Snapshot(); shown != s && shown != nil {
		k.place(d, shown) // so that the last good value is known when the next one comes
	}
	return k.place(d, s)
}

func (k *keys) place(d Declared, s *Snapshot) holding {
	id, t := d.number(), s.decoded.Load()
	if h := t.at(id); h != nil {
		return h
	}
	// A snapshot may have been on its way when the key became known; what was held then still counts as the last good.
	before := k.first[id]
	if before != nil && before.newest() != nil && before.newest().Position > s.position {
		before = nil
	}
	h := d.next(before, s)
	k.first[id] = h
	k.tell(d, h)
	s.decoded.Store(t.with(map[int]holding{id: h}))
	return h
}

// derive makes the table of the snapshot that s leads to, from that of the one before. Nobody else has seen it yet.
func (k *keys) derive(s step) {
	k.mu.Lock()
	defer k.mu.Unlock()
	before, changed := s.before.decoded.Load(), map[int]holding{}
	look := func(d Declared) {
		was := before.at(d.number())
		if now := d.next(was, s.after); was == nil || now != was {
			changed[d.number()] = now
			k.tell(d, now)
		}
	}
	if s.changeSet == nil {
		for _, d := range k.known {
			look(d)
		}
	} else {
		for _, c := range s.changeSet.Changes {
			for _, d := range k.byName[c.Key] {
				look(d)
			}
		}
	}
	s.after.decoded.Store(before.with(changed))
}

// tell logs a refused value once.
func (k *keys) tell(d Declared, h holding) {
	r := h.trouble()
	if r == nil || k.told[d.number()] == h.newest() {
		return
	}
	k.told[d.number()] = h.newest()
	k.log.Warn("value refused", "key", r.Key, "position", r.Position, "error", r.Err)
}
