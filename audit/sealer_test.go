package audit_test

import (
	"context"
	"errors"
	"fmt"
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

// event is an INSERT of one at a position.
func event(position int) string {
	return fmt.Sprintf(`INSERT INTO events VALUES (%d, 'a', %[1]d, 'value.set.v1', 'k', '{"value":1}', 'eve', '', now())`, position)
}

func head(position int) string { return fmt.Sprintf(`UPDATE head SET position = %d`, position) }
