package audit

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/holdfast-config/holdfast/events"
)

// Trust is what a verification starts from. The zero Trust believes the checkpoint that the log comes with: that shows that
// the events fit it, and not who signed it, nor that there was no other.
type Trust struct {
	Key   string       // public part of the key that must have signed; default: that of the newest of Since
	Since []Checkpoint // kept from earlier: the log must extend each of them
}

// Verified is what was found right.
type Verified struct {
	Checkpoint
	Signed string  // the checkpoint, to keep
	Masked int64   // events that were shown without their data
	Epochs []Epoch // that began in the log
}

// Epoch is an epoch that began in the log: it was declared that the store goes on from a backup.
type Epoch struct {
	events.EpochBegan
	Position events.Position
	Time     time.Time
	Actor    string
	Reason   string
}

func (e Epoch) String() string {
	return fmt.Sprintf("epoch %s began at position %d (%s, by %q: %q)", e.Epoch, e.Position, e.Time.Format(time.RFC3339), e.Actor, e.Reason)
}

// Wrong says that a log is not the one that was signed.
type Wrong struct {
	First, Last events.Position // where the first difference is: here, or somewhere in this range
	Why         string
}

func (w *Wrong) Error() string {
	if w.First == w.Last {
		return fmt.Sprintf("wrong at position %d: %s", w.First, w.Why)
	}
	return fmt.Sprintf("wrong somewhere from position %d to %d: %s", w.First, w.Last, w.Why)
}

// Verify reads a whole log, and compares it with its checkpoint and with those that are trusted. It returns a [*Wrong] or
// an ErrSignature if the log is not what was signed, and any other error if it could not be read. It keeps one hash for each
// 256 events. Progress, if not nil, is called now and then with how many events were read, and of how many.
func Verify(ctx context.Context, src Source, trust Trust, progress func(done, total int64)) (Verified, error) {
	v := &verification{src: src}
	for line, err := range src.Lines(ctx, 0) {
		if err != nil {
			return Verified{}, fmt.Errorf("after position %d: %w", v.tree.Size(), err)
		}
		if v.newest.N == 0 {
			if err := v.begin(line, trust); err != nil {
				return Verified{}, err
			}
			continue
		}
		if !v.add(line) {
			break
		}
		if progress != nil && v.tree.Size()%1024 == 0 {
			progress(v.tree.Size(), v.newest.N)
		}
	}
	return v.judge(ctx)
}

// verification is one under way.
type verification struct {
	src    Source
	newest Checkpoint
	signed string
	marks  []Checkpoint // that are still ahead, the smallest first: those that are trusted, and the newest

	tree   Tree
	block  Tree        // of the last, incomplete 256
	blocks []tlog.Hash // of each 256 events before
	good   int64       // the log is right up to here, by a checkpoint that was kept
	masked int64
	epoch  string // that the log is in, as far as it is known
	epochs []Epoch
	broken string // why the next line is not that of the next position
	wrong  error  // where no comparison of hashes is needed
}

// begin takes the first line, which has the checkpoint.
func (v *verification) begin(line Line, trust Trust) (err error) {
	if line.Checkpoint == "" {
		return errors.New("the log does not begin with its checkpoint")
	}
	v.marks = slices.SortedFunc(slices.Values(trust.Since), bySize)
	key := trust.Key
	if n := len(v.marks); key == "" && n > 0 {
		key = v.marks[n-1].Key
	}
	if v.newest, err = OpenCheckpoint(line.Checkpoint, key); err != nil {
		return err
	}
	v.signed = line.Checkpoint
	v.marks = append(v.marks, v.newest)
	slices.SortStableFunc(v.marks, bySize)
	return nil
}

func bySize(a, b Checkpoint) int { return cmp.Compare(a.N, b.N) }

// add takes the next line, and says whether to go on.
func (v *verification) add(line Line) bool {
	next := v.tree.Size() + 1
	switch {
	case line.Checkpoint != "":
		return true // of where reading was resumed
	case int64(line.Position) != next:
		v.broken = fmt.Sprintf("position %d is missing: after %d comes %d", next, next-1, line.Position)
		return false
	case next > v.newest.N:
		v.wrong = &Wrong{events.Position(next), events.Position(next), "it comes after the end that the checkpoint gives the log"}
		return false
	}
	leaf, err := line.hash()
	if err != nil {
		v.broken = err.Error()
		return false
	}
	v.tree.Add(leaf)
	if v.block.Add(leaf); v.block.Size() == tileWidth {
		v.blocks = append(v.blocks, v.block.Sum().Hash)
		v.block = Tree{}
	}
	if line.masked() {
		v.masked++
	}
	return v.follow(line) && v.pass()
}

// follow notes an epoch that begins.
func (v *verification) follow(line Line) bool {
	if line.Type != events.TypeEpochBegan || line.masked() {
		return true
	}
	began := Epoch{Position: line.Position, Time: time.UnixMicro(line.At).UTC(), Actor: line.Actor, Reason: line.Reason}
	if err := json.Unmarshal([]byte(line.Data), &began.EpochBegan); err != nil {
		return true // it is in the tree like any other, and says nothing
	}
	v.epochs = append(v.epochs, began)
	before := v.epoch
	v.epoch = began.Epoch
	return v.fits(before, began.Previous, line.Position)
}

// fits says whether the epoch that is known is the one that something else speaks of.
func (v *verification) fits(known, said string, at events.Position) bool {
	if known != "" && known != said {
		v.wrong = &Wrong{events.Position(v.good) + 1, at,
			fmt.Sprintf("the log went from epoch %s to %s, and no event declares that", known, said)}
	}
	return v.wrong == nil
}

// pass compares the tree with the marks of its size.
func (v *verification) pass() bool {
	for len(v.marks) > 0 && v.marks[0].N == v.tree.Size() {
		mark := v.marks[0]
		if v.tree.Sum() != mark.Tree {
			return false
		}
		if !v.fits(v.epoch, mark.Epoch, events.Position(mark.N)) {
			return false
		}
		if mark != v.newest { // whose word does not count against the others'
			v.good = mark.N
		}
		v.epoch, v.marks = mark.Epoch, v.marks[1:]
	}
	return true
}

// judge says what came of it.
func (v *verification) judge(ctx context.Context) (Verified, error) {
	switch {
	case v.newest.N == 0:
		return Verified{}, errors.New("there is no log: not even a checkpoint")
	case v.wrong != nil:
		return Verified{}, v.wrong
	case len(v.marks) > 0:
		return Verified{}, v.locate(ctx, v.marks[0])
	}
	return Verified{Checkpoint: v.newest, Signed: v.signed, Masked: v.masked, Epochs: v.epochs}, nil
}

// locate finds the first position at which the log is not what a mark has signed, or the smallest range that can be told,
// by comparing with the sealed hashes as far as the mark's root vouches for them.
func (v *verification) locate(ctx context.Context, mark Checkpoint) error {
	sealed := hashesOf(ctx, v.src, mark.Tree)
	size := v.tree.Size()
	last := min(size+1, mark.N) // here at the latest
	for i := v.good / tileWidth; i < int64(len(v.blocks)); i++ {
		from, to := i*tileWidth, (i+1)*tileWidth
		hashes, err := sealed.ReadHashes([]int64{tlog.StoredHashIndex(tileHeight, i)})
		if err != nil {
			return v.somewhere(mark, from, last, err)
		}
		if hashes[0] != v.blocks[i] {
			return v.compare(ctx, mark, sealed, from, to, to)
		}
	}
	if begin := int64(len(v.blocks)) * tileWidth; begin < size {
		if err := v.compare(ctx, mark, sealed, begin, size, last); err != nil {
			return err
		}
	}
	next := events.Position(size + 1)
	switch {
	case v.broken != "":
		return &Wrong{next, next, v.broken}
	case size == mark.N:
		return &Wrong{events.Position(v.good + 1), events.Position(size), "the log changed while it was read"}
	}
	return &Wrong{next, events.Position(mark.N), v.explain(mark, fmt.Sprintf("the log ends at %d, short of %s", size, v.name(mark)))}
}

// compare compares the events of a range one by one with the sealed leaves. Nil: all are the same. Without the leaves, it
// is certain only that something is wrong up to last.
func (v *verification) compare(ctx context.Context, mark Checkpoint, sealed tlog.HashReader, from, to, last int64) error {
	var indexes []int64
	for n := from; n < to; n++ {
		indexes = append(indexes, tlog.StoredHashIndex(0, n))
	}
	hashes, err := sealed.ReadHashes(indexes)
	if err != nil {
		return v.somewhere(mark, from, last, err)
	}
	next := from
	for line, err := range v.src.Lines(ctx, events.Position(from)) {
		if err != nil {
			return err
		}
		if line.Checkpoint != "" {
			continue
		}
		leaf, err := line.hash()
		if err != nil || int64(line.Position) != next+1 || leaf != hashes[next-from] {
			return &Wrong{events.Position(next + 1), events.Position(next + 1), v.explain(mark, "this is not the event that was sealed")}
		}
		if next++; next == to {
			return nil
		}
	}
	return &Wrong{events.Position(next + 1), events.Position(last), "the log became shorter while it was read"}
}

// somewhere is what can be told where the sealed hashes are not to be had, or were changed, too.
func (v *verification) somewhere(mark Checkpoint, after, last int64, why error) error {
	text := fmt.Sprintf("the events do not fit %s, and there are no sealed hashes that do, to tell which (%v)", v.name(mark), why)
	switch {
	case v.broken != "":
		text += "; " + v.broken
	case v.tree.Size() < mark.N:
		text += fmt.Sprintf("; the log ends at %d", v.tree.Size())
	}
	return &Wrong{events.Position(max(v.good, after) + 1), events.Position(last), v.explain(mark, text)}
}

// name tells which checkpoint a mark is.
func (v *verification) name(mark Checkpoint) string {
	if mark == v.newest {
		return fmt.Sprintf("the log's own checkpoint of %d events", mark.N)
	}
	return fmt.Sprintf("the checkpoint of %d events that was kept", mark.N)
}

// explain adds what was declared: a log that goes on from a backup has lost what came after that.
func (v *verification) explain(mark Checkpoint, why string) string {
	if v.epoch == mark.Epoch || len(v.epochs) == 0 {
		return why
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s; it was kept in epoch %s, and since then the log was declared to go on from a backup: ", why, mark.Epoch)
	for i, e := range v.epochs {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(e.String())
	}
	b.WriteString(". What came before that, after the last checkpoint that fits, can not be proved to be unchanged")
	return b.String()
}
