package readmodel_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// A view was tampered with before it was loaded. A replay puts it right at the same position, without an entry in the
// stream; the reader has the right value then, has no key vanish, and loads the view once, not again and again.
func TestViewIsReplayed(t *testing.T) {
	t.Parallel()
	url, rdb := testenv.Redis(t)
	p := newProjector(t, rdb)
	at := p.set("a", "1", "b", "2")
	right := p.entries["a"]
	forged := right
	forged.Value = `"forged"`
	rdb.HSet(t.Context(), view.ValuesKey(ns), "a", view.EncodeEntry(forged))
	r := open(t, url)
	wantValue(t, r, "a", `"forged"`)
	vanished := r.OnChange(func(c readmodel.Changed) {
		for _, change := range c.Changes {
			if change.New == nil {
				t.Errorf("key %s has vanished", change.Key)
			}
		}
	})
	defer vanished()

	p.atomically(func(tx redis.Pipeliner) {
		tx.HSet(t.Context(), view.ValuesKey(ns), "a", view.EncodeEntry(right))
		tx.HSet(t.Context(), view.HeadKey(ns), "replay", "one")
	})
	testenv.Eventually(t, "the reader has loaded the view", func() bool { return value(r, "a") == "1" })
	wantEqual(t, r, p)
	if st := r.Status(); st.Position != at || st.Resyncs != 1 {
		t.Errorf("at %d after %d resyncs, want %d after 1", st.Position, st.Resyncs, at)
	}
	waitFor(t, r, p.set("a", "3"))
	const elsewhere events.Position = 1000
	p.beat(elsewhere)
	waitFor(t, r, elsewhere) // which looks at the view
	if n := r.Status().Resyncs; n != 1 {
		t.Errorf("got %d resyncs, want 1", n)
	}
	wantEqual(t, r, p)
}
