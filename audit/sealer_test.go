package audit_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/holdfast-config/holdfast/audit"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
)

// treeOf is the tree over the rows of the log.
func (s *store) treeOf(until events.Position) tlog.Tree {
	s.t.Helper()
	var tree audit.Tree
	err := s.log.Rows(context.Background(), 0, until, func(r eventlog.Row) error {
		tree.Add(audit.LeafHash(r))
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return tree.Sum()
}

// What is sealed step by step, over borders of tiles, is the tree over all rows, and the stored tiles are those of the tree.
func TestSealer(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	sealer, stop := s.sealing(s.key)
	for _, n := range []int{1, 1, 5, 248, 1, 1, 600, 255, 300} {
		s.post(n)
		c := s.sealed()
		if want := s.treeOf(0); c.Tree != want {
			t.Fatalf("sealed %v, want %v", c.Tree, want)
		}
		if _, err := s.verify(audit.Trust{Key: s.key.Verifier()}); err != nil {
			t.Fatal(err)
		}
	}
	head, err := s.log.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := s.checkpoint()
	if c.Origin != "config.example.com" || c.Epoch != head.Epoch || c.Key != s.key.Verifier() {
		t.Errorf("got %+v", c)
	}
	for _, tile := range tlog.NewTiles(8, 0, c.N) {
		hashes, err := s.log.Tile(t.Context(), tile.L, tile.N)
		if err != nil || len(hashes) != tile.W*tlog.HashSize {
			t.Errorf("tile %d of level %d has %d bytes (%v), want %d hashes", tile.N, tile.L, len(hashes), err, tile.W)
		}
	}
	if st := sealer.Status(); !st.Active || int64(st.Size) != c.N || st.Err != nil {
		t.Errorf("status %+v", st)
	}
	stop()
	if sealer.Status().Active {
		t.Error("still active after its end")
	}
}

// An event is sealed within a second of its commit.
func TestSealsWithinASecond(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.sealing(s.key)
	s.post(1)
	s.sealed()
	s.post(1)
	began := time.Now()
	s.sealed()
	if took := time.Since(began); took > time.Second {
		t.Errorf("took %s", took)
	}
}

// Of two sealers one seals; when it ends, the other goes on, and so does one with another key.
func TestSealersTakeOver(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	_, stop := s.sealing(s.key)
	s.post(300)
	old := s.sealed()
	second, stopSecond := s.sealing(s.key)
	if second.Status().Active {
		t.Error("two are active")
	}
	stop()
	s.post(10)
	s.sealed()
	stopSecond()

	other := newKey(t)
	s.sealing(other)
	s.post(10)
	if c := s.sealed(); c.Key != other.Verifier() || c.Tree != s.treeOf(0) {
		t.Errorf("got %+v", c)
	}
	if _, err := s.verify(audit.Trust{Since: []audit.Checkpoint{old}}); !errors.Is(err, audit.ErrSignature) {
		t.Errorf("another key than before: got %v", err)
	}
	if _, err := s.verify(audit.Trust{Since: []audit.Checkpoint{old}, Key: other.Verifier()}); err != nil {
		t.Errorf("the other key, trusted: %v", err)
	}
}

// A sealer refuses to sign what contradicts what it has signed, does not fit what is stored, or has a hole, and says so.
func TestSealerRefuses(t *testing.T) {
	t.Parallel()
	const deleted, unsealed = `DELETE FROM events WHERE position > 250`, `UPDATE checkpoint SET size = 0, note = ''`
	for name, test := range map[string]struct {
		statements []string
		want       string
	}{
		"a shorter log":  {[]string{deleted, head(250)}, "it ends at 250"},
		"another seal":   {[]string{`DELETE FROM tiles`, unsealed, event(301), head(301)}, "300 events were sealed, and now 0"},
		"rolled back":    {[]string{deleted, unsealed, head(250)}, "declare that: holdfast epoch new"},
		"a hole":         {[]string{event(302), head(302)}, "no position 301"},
		"a lying head":   {[]string{head(400)}, "the log ends at 300"},
		"damaged hashes": {[]string{`UPDATE tiles SET hashes = overlay(hashes PLACING '\x00' FROM 5)`, event(301), head(301)}, "do not fit the checkpoint"},
		"missing hashes": {[]string{`DELETE FROM tiles WHERE level = 0 AND n = 1`, event(301), head(301)}, "has 0 hashes"},
		"a foreign note": {[]string{`UPDATE checkpoint SET size = 301, note = 'all is well'`, event(301), head(301)}, "not a checkpoint"},
		"a lying size":   {[]string{`UPDATE checkpoint SET size = 299`, event(301), head(301)}, "stored as one of 299"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			sealer, _ := s.sealing(s.key)
			s.post(300)
			s.sealed()
			s.execute(test.statements...)
			testenv.Eventually(t, "the sealer says what is wrong", func() bool {
				err := sealer.Status().Err
				return err != nil && strings.Contains(err.Error(), test.want)
			})
			if sealer.Status().Size != 300 {
				t.Errorf("it has signed on: %+v", sealer.Status())
			}
		})
	}
}

// What another key has sealed is taken over only if the events themselves fit it.
func TestSealerChecksWhatAnotherKeySealed(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"a changed row":  `UPDATE events SET actor = 'eve' WHERE position = 7`,
		"a deleted row":  `DELETE FROM events WHERE position = 7`,
		"the last row":   `DELETE FROM events WHERE position = 300`,
		"a changed date": `UPDATE events SET at = at + interval '1 microsecond' WHERE position = 1`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			s.post(300)
			old := s.seal()
			s.execute(statement, event(301), head(301))
			sealer, _ := s.sealing(newKey(t))
			testenv.Eventually(t, "the sealer says what is wrong", func() bool {
				err := sealer.Status().Err
				return err != nil && strings.Contains(err.Error(), "which do not fit its checkpoint")
			})
			if c := s.checkpoint(); c != old {
				t.Errorf("it has signed on: %+v", c)
			}
		})
	}
}

// A sealer that refuses what another key has sealed does not read the log at each retry, until it is elected anew.
func TestSealerReadsWhatItRefusesOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.post(300)
	s.seal()
	sealed, err := s.log.Sealed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.execute(`UPDATE events SET actor = 'eve' WHERE position = 7`)
	sealer, stop := s.sealing(newKey(t))
	says := func(want string) {
		t.Helper()
		testenv.Eventually(t, "the sealer says: "+want, func() bool {
			err := sealer.Status().Err
			return err != nil && strings.Contains(err.Error(), want)
		})
	}
	says("which do not fit its checkpoint")
	s.execute(`REVOKE SELECT ON events FROM holdfast_app`)  // who reads the log now says so
	s.execute(`UPDATE checkpoint SET note = 'all is well'`) // which a retry finds
	says("not a checkpoint")
	s.execute(`UPDATE checkpoint SET note = '` + sealed.Note + `'`) // and the next one finds what was refused
	says("which do not fit its checkpoint")

	s.execute(`UPDATE events SET actor = 'ann' WHERE position = 7`, `GRANT SELECT ON events TO holdfast_app`)
	stop()
	s.running(sealer)
	s.post(1)
	s.sealed()
}

// A sealer that keeps its checkpoint seals no forged history after a restart either, not until an epoch is declared.
func TestSealerKeepsItsCheckpoint(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	file := filepath.Join(t.TempDir(), "checkpoint")
	s.post(300)
	_, stop := s.sealingWith(s.key, file)
	s.sealed()
	testenv.Eventually(t, "the checkpoint is kept", func() bool { return s.kept(file).N == 300 })
	stop()
	old := s.kept(file)
	if old != s.checkpoint() {
		t.Fatalf("kept %+v, want %+v", old, s.checkpoint())
	}

	other := newKey(t) // a key is replaced, and what was kept goes on
	_, stop = s.sealingWith(other, file)
	s.post(10)
	s.sealed()
	testenv.Eventually(t, "the checkpoint is kept", func() bool { return s.kept(file).N == 310 })
	stop()

	s.execute(`UPDATE events SET actor = 'eve' WHERE position = 7`, `DELETE FROM tiles`, `UPDATE checkpoint SET size = 0, note = ''`)
	forged, stop := s.sealingWith(other, file)
	testenv.Eventually(t, "the sealer says what is wrong", func() bool {
		err := forged.Status().Err
		return err != nil && strings.Contains(err.Error(), "310 events were sealed, and now 0")
	})
	stop()
	if sealed, err := s.log.Sealed(t.Context()); err != nil || sealed.Size != 0 || s.kept(file).N != 310 {
		t.Errorf("it has signed on: %+v, %v", sealed, err)
	}
	s.execute(`UPDATE head SET epoch = gen_random_uuid()`)
	s.sealingWith(other, file)
	if c := s.sealed(); c.Tree != s.treeOf(0) {
		t.Errorf("after another epoch: got %+v", c)
	}
}

// What can not be kept is said, and made good for as soon as it can be.
func TestSealerCanNotKeep(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	dir := filepath.Join(t.TempDir(), "later")
	file := filepath.Join(dir, "checkpoint")
	s.post(10)
	sealer, _ := s.sealingWith(s.key, file)
	testenv.Eventually(t, "the sealer says what is wrong", func() bool { return errors.Is(sealer.Status().Err, fs.ErrNotExist) })
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the checkpoint is kept", func() bool { return s.kept(file).N == 10 && sealer.Status().Err == nil })
	if err := os.WriteFile(file, []byte("all is well"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := audit.NewSealer(s.log, s.key, quiet).Keep(file); !errors.Is(err, audit.ErrNoCheckpoint) {
		t.Errorf("what is no checkpoint: got %v", err)
	}
}

// kept is the checkpoint in a file; the zero one while there is none.
func (s *store) kept(file string) audit.Checkpoint {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return audit.Checkpoint{}
	}
	c, openErr := audit.OpenCheckpoint(string(text), "")
	if err := errors.Join(err, openErr); err != nil {
		s.t.Fatal(err)
	}
	return c
}

// event is an INSERT of one at a position.
func event(position int) string {
	return fmt.Sprintf(`INSERT INTO events VALUES (%d, 'a', %[1]d, 'value.set.v1', 'k', '{"value":1}', 'eve', '', now())`, position)
}

func head(position int) string { return fmt.Sprintf(`UPDATE head SET position = %d`, position) }
