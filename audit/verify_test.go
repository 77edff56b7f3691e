package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-config/holdfast/audit"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
)

// wrong checks that err says that the log is wrong, from one position to another.
func wrong(t testing.TB, err error, first, last events.Position) {
	t.Helper()
	var w *audit.Wrong
	if !errors.As(err, &w) || w.First != first || w.Last != last {
		t.Errorf("got %v, want it wrong from %d to %d", err, first, last)
	}
}

// Whoever changes the rows and no more is found out at the very position, with or without a checkpoint that was kept.
func TestVerifyFindsTheRow(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.post(400)
	kept := s.seal()
	s.post(400)
	s.seal()
	for _, test := range []struct {
		at         events.Position
		statements []string
	}{
		{1, []string{`UPDATE events SET namespace = 'c' WHERE position = 1`}},
		{300, []string{`UPDATE events SET revision = revision + 1 WHERE position = 300`}},
		{256, []string{`UPDATE events SET type = 'value.set.v2' WHERE position = 256`}},
		{257, []string{`UPDATE events SET key = 'other' WHERE position = 257`}},
		{500, []string{`UPDATE events SET key = NULL WHERE position = 500`}},
		{512, []string{`UPDATE events SET data = '{"value":999}' WHERE position = 512`}},
		{513, []string{`UPDATE events SET data = (data::text || ' ')::json WHERE position = 513`}},
		{800, []string{`UPDATE events SET actor = 'eve' WHERE position = 800`}},
		{799, []string{`UPDATE events SET reason = '' WHERE position = 799`}},
		{42, []string{`UPDATE events SET at = at - interval '1 microsecond' WHERE position = 42`}},
		{43, []string{`UPDATE events SET actor = actor || reason, reason = '' WHERE position = 43`}},
		{2, []string{`DELETE FROM events WHERE position = 2`}},
		{800, []string{`DELETE FROM events WHERE position = 800`}},
		{701, []string{`DELETE FROM events WHERE position > 700`}},
		{701, []string{`DELETE FROM events WHERE position > 700`, `UPDATE head SET position = 700`}},
		{1, []string{`DELETE FROM events`}},
		{100, []string{`UPDATE events SET position = 10000 WHERE position = 100`, `UPDATE events SET position = 100 WHERE position = 101`,
			`UPDATE events SET position = 101 WHERE position = 10000`}},
		{600, []string{`DELETE FROM events WHERE position = 600`,
			`UPDATE events SET position = -position WHERE position > 600`, `UPDATE events SET position = -position - 1 WHERE position < 0`}},
		{650, []string{`UPDATE events SET position = -position WHERE position >= 650`, `UPDATE events SET position = 1 - position WHERE position < 0`,
			strings.Replace(event(650), "'a', 650", "'zz', 1", 1)}},
	} {
		t.Run(fmt.Sprint(test.statements[0]), func(t *testing.T) {
			s := s.as(t)
			undo := s.attack(test.statements...)
			defer undo()
			for _, trust := range []audit.Trust{{}, {Since: []audit.Checkpoint{kept}}, {Key: s.key.Verifier()}} {
				_, err := s.verify(trust)
				last := test.at
				if strings.HasPrefix(test.statements[0], "DELETE FROM events WHERE position > ") || test.statements[0] == "DELETE FROM events" {
					last = 800 // all of them are missing
					if len(trust.Since) > 0 && test.at == 1 {
						last = 400
					}
				}
				wrong(t, err, test.at, last)
			}
		})
	}
	if _, err := s.verify(audit.Trust{Since: []audit.Checkpoint{kept}}); err != nil {
		t.Errorf("after all was undone: %v", err)
	}
}

// as is the store in a part of the test.
func (s *store) as(t testing.TB) *store {
	part := *s
	part.t = t
	return &part
}

// attack executes the statements, and returns how to undo them.
func (s *store) attack(statements ...string) (undo func()) {
	s.t.Helper()
	tables := []string{"events", "head", "tiles", "checkpoint"}
	copies := []string{`ALTER TABLE events DROP CONSTRAINT IF EXISTS events_position_check`}
	for _, table := range tables {
		copies = append(copies, fmt.Sprintf(`DROP TABLE IF EXISTS %s_before; CREATE TABLE %[1]s_before AS TABLE %[1]s`, table))
	}
	s.execute(append(copies, statements...)...)
	return func() {
		s.t.Helper()
		var back []string
		for _, table := range tables {
			back = append(back, fmt.Sprintf(`DELETE FROM %s; INSERT INTO %[1]s TABLE %[1]s_before`, table))
		}
		s.execute(back...)
	}
}

// Whoever changes the sealed hashes too can hide which event it was, and nothing else.
func TestVerifyFindsTheRange(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.post(300)
	first := s.seal()
	s.post(300)
	second := s.seal()
	s.post(400)
	s.seal()
	kept := audit.Trust{Since: []audit.Checkpoint{second, first}}
	for _, test := range []struct {
		name       string
		statements []string
		first      events.Position
		last       events.Position
	}{
		{"a row, and its leaf", []string{`UPDATE events SET actor = 'eve' WHERE position = 700`,
			`UPDATE tiles SET hashes = overlay(hashes PLACING '\x0000' FROM 32 * (700 - 512)) WHERE level = 0 AND n = 2`}, 601, 768},
		{"a row, and all hashes", []string{`UPDATE events SET actor = 'eve' WHERE position = 700`, `DELETE FROM tiles`}, 601, 1000},
		{"an old row, and all hashes", []string{`UPDATE events SET actor = 'eve' WHERE position = 100`, `DELETE FROM tiles`}, 1, 300},
		{"hashes, and no row", []string{`DELETE FROM tiles`}, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := s.as(t)
			defer s.attack(test.statements...)()
			_, err := s.verify(kept)
			if test.first == 0 {
				if err != nil {
					t.Errorf("the events are what was sealed: %v", err)
				}
				return
			}
			wrong(t, err, test.first, test.last)
		})
	}
}

// Whoever has the key, too, and rewrites everything after a position with all hashes, is found out by who kept a checkpoint
// from after that.
func TestVerifyFindsTheForger(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.post(300)
	first := s.seal()
	s.post(300)
	second := s.seal()
	s.post(100)
	s.seal()
	for _, test := range []struct {
		name        string
		statements  []string
		first, last events.Position
	}{
		{"rewritten", []string{`UPDATE events SET actor = 'eve' WHERE position >= 400`}, 301, 600},
		{"cut off", []string{`DELETE FROM events WHERE position > 500`, head(500)}, 301, 501},
		{"all of it", []string{`UPDATE events SET at = at + interval '1 s'`}, 1, 300},
		{"deleted in between", []string{`DELETE FROM events WHERE position = 350`,
			`UPDATE events SET position = -position WHERE position > 350`, `UPDATE events SET position = -position - 1 WHERE position < 0`, head(699)}, 301, 600},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := s.as(t)
			defer s.attack(append(test.statements, `DELETE FROM tiles`, `UPDATE checkpoint SET size = 0, note = ''`)...)()
			s.seal()
			if _, err := s.verify(audit.Trust{}); err != nil {
				t.Errorf("who kept nothing can not know: %v", err)
			}
			_, err := s.verify(audit.Trust{Since: []audit.Checkpoint{first, second}})
			wrong(t, err, test.first, test.last)

			s.key = newKey(t) // without the key it does not even get so far
			s.execute(`DELETE FROM tiles`, `UPDATE checkpoint SET size = 0, note = ''`)
			s.seal()
			if _, err := s.verify(audit.Trust{Since: []audit.Checkpoint{first}}); !errors.Is(err, audit.ErrSignature) {
				t.Errorf("another key: got %v", err)
			}
		})
	}
}

// lines are a source in memory, without sealed hashes.
type lines []audit.Line

func (ls lines) Lines(_ context.Context, after events.Position) iter.Seq2[audit.Line, error] {
	var text []byte
	for _, l := range ls {
		text, _ = l.Append(text)
	}
	return audit.ReadLines(bytes.NewReader(text), after)
}

func (ls lines) Tile(context.Context, int, int64) ([]byte, error) { return nil, nil }

// export returns the lines of the store; those that masked chooses without their data.
func (s *store) export(masked func(eventlog.Row) bool) lines {
	s.t.Helper()
	var all lines
	mask := func(context.Context, []eventlog.Row) (func(eventlog.Row) bool, error) { return masked, nil }
	err := audit.Lines(context.Background(), s.log, 0, 0, mask, func(l audit.Line) error {
		all = append(all, l)
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

// A masked event is proved but for its data, which is not there to see.
func TestVerifyMasked(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.post(100)
	s.seal()
	all := s.export(func(r eventlog.Row) bool { return r.Position%2 == 0 })
	got, err := audit.Verify(t.Context(), all, audit.Trust{}, nil)
	if err != nil || got.Masked != 50 {
		t.Errorf("got %d masked (%v), want 50", got.Masked, err)
	}
	if all[2].Data != "" {
		t.Errorf("a masked line has data: %+v", all[2])
	}
	all[2].Actor = "eve"
	_, err = audit.Verify(t.Context(), all, audit.Trust{}, nil)
	wrong(t, err, 1, 100)
}

// Every honest export is accepted, and no mutation of one is: property tests over mutations of lines.
func TestVerifyProperty(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	var kept []audit.Checkpoint
	for _, n := range []int{3, 250, 10, 137} {
		s.post(n)
		kept = append(kept, s.seal())
		for _, since := range [][]audit.Checkpoint{nil, kept[:1], kept} {
			if _, err := audit.Verify(t.Context(), s.export(func(eventlog.Row) bool { return false }), audit.Trust{Since: since}, nil); err != nil {
				t.Fatalf("an honest log of %d was refused: %v", s.checkpoint().N, err)
			}
		}
	}
	honest := s.export(func(r eventlog.Row) bool { return r.Position%5 == 0 })
	flip := func(text string, r *rand.Rand) string {
		b := []byte(text)
		if len(b) == 0 {
			return "x"
		}
		b[r.IntN(len(b))] ^= byte(1 << r.IntN(7))
		return string(b)
	}
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 4))
		all := slices.Clone(honest)
		i := 1 + r.IntN(len(all)-1)
		j := 1 + r.IntN(len(all)-1)
		switch l := &all[i]; r.IntN(13) {
		case 0:
			l.Namespace = events.Namespace(flip(string(l.Namespace), r))
		case 1:
			l.Revision += events.Revision(1 + r.IntN(3))
		case 2:
			l.Type = flip(l.Type, r)
		case 3:
			l.Key = events.Key(flip(string(l.Key), r))
		case 4:
			if l.Data == "" {
				l.DataSHA256 = strings.Repeat("0", 64)
			} else {
				l.Data = flip(l.Data, r)
			}
		case 5:
			l.Actor = flip(l.Actor, r)
		case 6:
			l.Reason = flip(l.Reason, r)
		case 7:
			l.At += int64(r.IntN(2)*2 - 1)
		case 8:
			all = slices.Delete(all, i, i+1)
		case 9:
			all = slices.Insert(all, j, *l)
		case 10:
			if i == j {
				continue
			}
			all[i], all[j] = all[j], all[i]
		case 11:
			all = all[:i]
		case 12:
			all[0].Checkpoint = flip(all[0].Checkpoint, r)
		}
		if _, err := audit.Verify(t.Context(), all, audit.Trust{Key: s.key.Verifier()}, nil); err == nil {
			t.Fatalf("seed %d: a mutation was accepted", seed)
		}
	}
}

// The verifier is handed damaged exports and damaged proofs, and neither panics, hangs nor is fooled.
func FuzzVerify(f *testing.F) {
	s := newStore(f)
	s.post(300)
	s.seal()
	var text []byte
	for _, l := range s.export(func(r eventlog.Row) bool { return r.Position == 7 }) {
		text, _ = l.Append(text)
	}
	var tiles []byte
	for n := range int64(2) {
		tile, err := s.log.Tile(f.Context(), 0, n)
		if err != nil {
			f.Fatal(err)
		}
		tiles = append(tiles, tile...)
	}
	key := s.key.Verifier()
	f.Add(text, tiles)
	f.Add(text[:len(text)/2], tiles[:100])
	f.Add([]byte(`{"checkpoint":"a\n9223372036854775807\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nepoch x\nkey y\n\n"}`), tiles)
	f.Fuzz(func(t *testing.T, export, tiles []byte) {
		if _, err := audit.Verify(t.Context(), damaged{export, tiles}, audit.Trust{Key: key}, nil); err == nil && !same(export, text) {
			t.Errorf("accepted:\n%s", export)
		}
	})
}

// same says whether two exports have the same lines.
func same(a, b []byte) bool {
	return slices.Equal(slices.Collect(parsed(a)), slices.Collect(parsed(b)))
}

func parsed(text []byte) iter.Seq[audit.Line] {
	return func(yield func(audit.Line) bool) {
		for line, err := range audit.ReadLines(bytes.NewReader(text), 0) {
			if err != nil || !yield(line) {
				return
			}
		}
	}
}

// damaged is a source of whatever bytes.
type damaged struct{ export, tiles []byte }

func (d damaged) Lines(_ context.Context, after events.Position) iter.Seq2[audit.Line, error] {
	return audit.ReadLines(bytes.NewReader(d.export), after)
}

func (d damaged) Tile(_ context.Context, level int, n int64) ([]byte, error) {
	from := min(int64(level)*64+n*256*32, int64(len(d.tiles)))
	return d.tiles[max(0, from):], nil
}

// A restore from a backup that is declared breaks no log, and explains why it does not extend a checkpoint from after the
// backup. The sealer goes on, in the new epoch. One that is not declared stays a fault.
func TestDeclaredRestore(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	sealer, _ := s.sealing(s.key)
	s.post(300)
	first := s.sealed()
	backup := []string{`DELETE FROM events; INSERT INTO events TABLE events_before`, `DELETE FROM head; INSERT INTO head TABLE head_before`,
		`DELETE FROM tiles; INSERT INTO tiles TABLE tiles_before`, `DELETE FROM checkpoint; INSERT INTO checkpoint TABLE checkpoint_before`}
	s.attack()
	s.post(100)
	second := s.sealed()

	s.execute(backup...)
	testenv.Eventually(t, "the sealer notices the restore", func() bool {
		err := sealer.Status().Err
		return err != nil && strings.Contains(err.Error(), "holdfast epoch new")
	})
	owner, err := eventlog.Open(t.Context(), eventlog.Config{URL: s.owner.Config().ConnString(), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	began, at, err := owner.BeginEpoch(t.Context(), "ann", "restored the backup of monday")
	if err != nil {
		t.Fatal(err)
	}
	s.post(200)
	if c := s.sealed(); c.Epoch != began.Epoch || c.Tree != s.treeOf(0) {
		t.Errorf("sealed %+v, want epoch %s", c, began.Epoch)
	}
	got, err := s.verify(audit.Trust{Since: []audit.Checkpoint{first}})
	if err != nil || len(got.Epochs) != 1 || got.Epochs[0].Position != at.Position || got.Epochs[0].EpochBegan != began {
		t.Errorf("since the backup: got %+v, %v", got, err)
	}
	_, err = s.verify(audit.Trust{Since: []audit.Checkpoint{first, second}})
	wrong(t, err, 301, 400)
	for _, part := range []string{"declared to go on from a backup", began.Epoch, "position 301", "ann", "restored the backup of monday"} {
		if !strings.Contains(fmt.Sprint(err), part) {
			t.Errorf("%v does not say %q", err, part)
		}
	}
	s.execute(`UPDATE head SET epoch = gen_random_uuid()`)
	s.post(10)
	s.sealed()
	_, err = s.verify(audit.Trust{})
	wrong(t, err, 1, events.Position(s.checkpoint().N))
	if !strings.Contains(fmt.Sprint(err), "no event declares that") {
		t.Errorf("an epoch that is not declared: got %v", err)
	}
}
