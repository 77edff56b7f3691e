package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
)

const (
	sealEvery   = 250 * time.Millisecond // how often the sealer looks for what is new
	sealAtOnce  = 16_384                 // events that are sealed in one step, at most
	sealRetryIn = 5 * time.Second        // the longest pause after a failure
)

// Sealer seals the log: within a second of its commit, each event is a leaf of the tree, and a signed checkpoint says so.
// It reads what is committed, and nothing waits for it.
//
// It never signs what contradicts what it has signed before in its life, or the checkpoint that is stored: it stops sealing
// where the log has become shorter, or its seal another, without an epoch that was declared; where a position is missing; and
// where another key has sealed what the events are not. It says so, and tries again. With [Sealer.Keep] its memory outlives it.
type Sealer struct {
	log    *eventlog.Log
	key    Key
	logger *slog.Logger

	// Only Run's goroutine touches these.
	known  Checkpoint // sealed last, as far as this process knows
	signed string     // the note of known
	loaded bool       // known is what is stored, unless another process has sealed since
	judged Checkpoint // of another key, that the events were held against last, since it was elected
	unfit  error      // why they do not fit judged; nil: they do
	file   string     // that keeps a checkpoint; empty: none does
	kept   string     // the note in it

	mu     sync.Mutex
	status SealerStatus
}

// NewSealer returns a sealer of a log, which the caller owns.
func NewSealer(log *eventlog.Log, key Key, logger *slog.Logger) *Sealer {
	return &Sealer{log: log, key: key, logger: logger}
}

// Keep makes the sealer keep its newest checkpoint in a file, and not seal a log that does not go on from the one that is
// there, unless a new epoch was declared. Without it a sealer that starts knows only what is stored, which the owner of the
// database can replace. It is called before Run. The file need not be there yet; the error is that it can not be read.
// A file that can not be written is what [SealerStatus] says.
func (s *Sealer) Keep(file string) error {
	s.file = file
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		s.logger.Warn("no checkpoint is kept yet: what is stored is gone on from as it is", "file", file)
		return nil
	}
	if err != nil {
		return err
	}
	if s.known, err = OpenCheckpoint(string(text), ""); err != nil {
		return fmt.Errorf("%s: %w; put back a copy, or move it away: what is stored is then gone on from as it is", file, err)
	}
	s.kept = string(text)
	return nil
}

// keep writes the newest checkpoint to the file, whole or not at all.
func (s *Sealer) keep() error {
	if s.file == "" || s.signed == "" || s.signed == s.kept {
		return nil
	}
	draft, err := os.Create(s.file + ".new")
	if err != nil {
		return err
	}
	_, err = draft.WriteString(s.signed)
	if err == nil {
		err = draft.Sync()
	}
	if err = errors.Join(err, draft.Close()); err == nil {
		err = os.Rename(draft.Name(), s.file)
	}
	if err == nil {
		s.kept = s.signed
	}
	return err
}

// SealerStatus says what the sealer does now.
type SealerStatus struct {
	Active bool            // elected; the others stand by
	Size   events.Position // sealed up to here
	Err    error           // why it does not get on at the moment
}

// Status may be called at any time.
func (s *Sealer) Status() SealerStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

func (s *Sealer) report(change func(*SealerStatus)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.status)
}

// Run stands by until it is elected, seals, and stands by again when another may have been. It returns when ctx ends. A nil
// Sealer does nothing until then.
func (s *Sealer) Run(ctx context.Context) {
	if s == nil {
		<-ctx.Done()
		return
	}
	for ctx.Err() == nil {
		err := s.log.LeadSealing(ctx, s.lead)
		s.report(func(st *SealerStatus) { st.Active = false })
		if ctx.Err() == nil {
			s.logger.Warn("sealer stands by again", "error", err)
			pause(ctx, sealEvery)
		}
	}
}

// lead seals for as long as this process is elected.
func (s *Sealer) lead(ctx context.Context) error {
	s.report(func(st *SealerStatus) { st.Active = true })
	s.loaded, s.judged = false, Checkpoint{} // the log may have been mended meanwhile
	for wait := sealEvery; ; {
		err := s.catchUp(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		s.note(err)
		if err == nil {
			wait = sealEvery
		} else {
			s.loaded, wait = false, min(2*wait, sealRetryIn)
		}
		pause(ctx, wait)
	}
}

// note says once that the sealer does not get on, and once that it does again.
func (s *Sealer) note(err error) {
	var before error
	s.report(func(st *SealerStatus) { before, st.Err, st.Size = st.Err, err, events.Position(s.known.N) })
	switch {
	case err != nil && (before == nil || before.Error() != err.Error()):
		s.logger.Error("sealer does not get on; it keeps trying", "sealed", s.known.N, "error", err)
	case err == nil && before != nil:
		s.logger.Info("sealer gets on again", "sealed", s.known.N)
	}
}

// load reads the newest checkpoint, and checks that it contradicts nothing that this process knows.
func (s *Sealer) load(ctx context.Context, epoch string) error {
	sealed, err := s.log.Sealed(ctx)
	if err != nil {
		return err
	}
	var newest Checkpoint
	if sealed.Note != "" {
		if newest, err = s.open(sealed); err != nil {
			return err
		}
		if err := s.vouch(ctx, newest); err != nil {
			return err
		}
	}
	if err := s.follows(ctx, newest, epoch); err != nil {
		return err
	}
	s.known, s.signed, s.loaded = newest, sealed.Note, true
	return nil
}

// open reads a checkpoint, whichever key has signed it.
func (s *Sealer) open(sealed eventlog.Sealed) (Checkpoint, error) {
	c, err := OpenCheckpoint(sealed.Note, s.key.Verifier())
	if errors.Is(err, ErrSignature) {
		c, err = OpenCheckpoint(sealed.Note, "")
	}
	if err == nil && c.N != int64(sealed.Size) {
		err = fmt.Errorf("the stored checkpoint is of %d events, and stored as one of %d", c.N, sealed.Size)
	}
	return c, err
}

// vouch says whether this key may sign on from a checkpoint. Keys are replaced, but anybody has one: from that of another
// only if the events themselves, all of which are read, make its root. They are read once for a checkpoint: each retry would
// else read the whole log.
func (s *Sealer) vouch(ctx context.Context, c Checkpoint) error {
	if c.Key == s.key.Verifier() || c.Tree == s.known.Tree {
		return nil
	}
	if c == s.judged {
		return s.unfit
	}
	var tree Tree
	err := s.log.Rows(ctx, 0, events.Position(c.N), func(r eventlog.Row) error {
		tree.Add(LeafHash(r))
		return nil
	})
	if err != nil {
		return err
	}
	s.judged, s.unfit = c, nil
	if got := tree.Sum(); got != c.Tree {
		s.unfit = fmt.Errorf("another key, %s, has sealed %d events, which do not fit its checkpoint: their root is %s; "+
			"once they are mended, start this program again, so that it reads them anew", c.Key, c.N, got.Hash)
		return s.unfit
	}
	s.logger.Warn("the log was sealed with another key; it is sealed with this one from now on", "before", c.Key, "now", s.key.Verifier())
	return nil
}

// follows says whether a checkpoint goes on from what this process has sealed: in the same epoch it must.
func (s *Sealer) follows(ctx context.Context, newest Checkpoint, epoch string) error {
	known := s.known
	if known.N == 0 {
		return nil
	}
	var err error
	if newest.N < known.N {
		err = fmt.Errorf("%d events were sealed, and now %d", known.N, newest.N)
	} else {
		err = checkExtends(ctx, s.log, newest.Tree, known.Tree)
	}
	if err != nil && epoch == known.Epoch {
		return fmt.Errorf("%w: %w", errUndeclared, err)
	}
	if err != nil {
		s.logger.Warn("a new epoch has begun, and does not go on from what was sealed", "epoch", epoch, "before", known.Epoch, "sealed", known.N)
	}
	return nil
}

var errUndeclared = errors.New("the log is not the one that was sealed; if it was restored from a backup, declare that: holdfast epoch new")

// catchUp seals until nothing is left.
func (s *Sealer) catchUp(ctx context.Context) error {
	for {
		head, err := s.log.Head(ctx)
		if err != nil {
			return err
		}
		if !s.loaded {
			if err := s.load(ctx, head.Epoch); err != nil {
				return err
			}
		}
		if err := s.keep(); err != nil {
			return err
		}
		left := int64(head.Position) - s.known.N
		switch {
		case left < 0:
			return fmt.Errorf("%w: it ends at %d, and %d events were sealed", errUndeclared, head.Position, s.known.N)
		case left == 0:
			return nil
		}
		if err := s.seal(ctx, head, s.known.N+min(left, sealAtOnce)); err != nil {
			return err
		}
	}
}

// seal adds the events up to a position to the tree, and signs.
func (s *Sealer) seal(ctx context.Context, head eventlog.Head, until int64) error {
	g, err := s.grow(ctx, until)
	if err != nil {
		return err
	}
	next := Checkpoint{Tree: tlog.Tree{N: until}}
	if next.Epoch, err = s.epochAt(ctx, head, events.Position(until)); err != nil {
		return err
	}
	if next.Hash, err = tlog.TreeHash(until, g); err != nil {
		return err
	}
	tiles, err := g.tiles(until)
	if err != nil {
		return err
	}
	signed, err := next.sign(s.key)
	if err != nil {
		return err
	}
	err = s.log.Seal(ctx, events.Position(s.known.N), eventlog.Sealed{Size: events.Position(until), Note: signed}, tiles)
	if err == nil {
		s.known, s.signed = next, signed
		s.report(func(st *SealerStatus) { st.Size = events.Position(until) })
	}
	return err
}

// epochAt returns the epoch of a position: that which the next declared one follows, else that of the head.
func (s *Sealer) epochAt(ctx context.Context, head eventlog.Head, at events.Position) (string, error) {
	if at == head.Position {
		return head.Epoch, nil
	}
	later, err := s.log.Read(ctx, eventlog.Query{Namespace: events.LogNamespace, After: at, Until: head.Position, Limit: 1})
	if err != nil || len(later) == 0 {
		return head.Epoch, err
	}
	if began, ok := later[0].Event.(events.EpochBegan); ok {
		return began.Previous, nil
	}
	return "", fmt.Errorf("event %d about the log is a %s", later[0].Position, later[0].Event.Type())
}

// grow reads the events after what is sealed up to a position, and hashes them.
func (s *Sealer) grow(ctx context.Context, until int64) (*growth, error) {
	g := &growth{from: s.known.N, old: hashesOf(ctx, s.log, s.known.Tree), first: tlog.StoredHashCount(s.known.N)}
	n := s.known.N
	err := s.log.Rows(ctx, events.Position(n), events.Position(until), func(r eventlog.Row) error {
		if int64(r.Position) != n+1 {
			return fmt.Errorf("the log has no position %d: %d is the next", n+1, r.Position)
		}
		hashes, err := tlog.StoredHashesForRecordHash(n, LeafHash(r), g)
		g.added = append(g.added, hashes...)
		n++
		return err
	})
	if err == nil && n < until {
		err = fmt.Errorf("the log ends at %d, and its head says that it goes further", n)
	}
	return g, err
}

// growth is the hashes of a tree that has grown: the old ones are read, the new ones are in memory.
type growth struct {
	from  int64
	old   tlog.HashReader
	first int64 // index of the first that was added
	added []tlog.Hash
}

// ReadHashes reads old and new ones. They are asked for in the order of their indexes.
func (g *growth) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var old []int64
	for _, at := range indexes {
		if at < g.first {
			old = append(old, at)
		}
	}
	var hashes []tlog.Hash
	if len(old) > 0 {
		var err error
		if hashes, err = g.old.ReadHashes(old); err != nil {
			return nil, fmt.Errorf("the sealed hashes do not fit the checkpoint: %w", err)
		}
	}
	all := make([]tlog.Hash, len(indexes))
	for i, at := range indexes {
		if at < g.first {
			all[i], hashes = hashes[0], hashes[1:]
		} else {
			all[i] = g.added[at-g.first]
		}
	}
	return all, nil
}

// tiles returns those that are new or wider in the tree of so many events.
func (g *growth) tiles(size int64) ([]eventlog.Tile, error) {
	var tiles []eventlog.Tile
	for _, t := range tlog.NewTiles(tileHeight, g.from, size) {
		data, err := tlog.ReadTileData(t, g)
		if err != nil {
			return nil, err
		}
		tiles = append(tiles, eventlog.Tile{Level: t.L, N: t.N, Hashes: data})
	}
	return tiles, nil
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
