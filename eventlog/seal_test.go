package eventlog_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/internal/testenv"
)

func TestSeal(t *testing.T) {
	log := testenv.Log(t)
	sealed := func() eventlog.Sealed {
		t.Helper()
		s, err := log.Sealed(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	tile := func(level int, n int64) []byte {
		t.Helper()
		hashes, err := log.Tile(t.Context(), level, n)
		if err != nil {
			t.Fatal(err)
		}
		return hashes
	}
	if s := sealed(); s != (eventlog.Sealed{}) || tile(0, 0) != nil {
		t.Errorf("at first: got %+v", s)
	}
	one, two := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 64)
	first := eventlog.Sealed{Size: 1, Note: "first"}
	if err := log.Seal(t.Context(), 0, first, []eventlog.Tile{{0, 0, one}}); err != nil {
		t.Fatal(err)
	}
	late := []eventlog.Tile{{0, 0, two}, {1, 0, two}}
	if err := log.Seal(t.Context(), 0, eventlog.Sealed{Size: 2, Note: "late"}, late); !errors.Is(err, eventlog.ErrSealedMeanwhile) {
		t.Errorf("who comes late: got %v", err)
	}
	if s := sealed(); s != first || !bytes.Equal(tile(0, 0), one) || tile(1, 0) != nil {
		t.Errorf("who came late has changed something: %+v", s)
	}
	if err := log.Seal(t.Context(), 1, eventlog.Sealed{Size: 2, Note: "second"}, []eventlog.Tile{{0, 0, two}, {3, 1 << 40, one}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]byte{two, one}, [][]byte{tile(0, 0), tile(3, 1<<40)}); diff != "" {
		t.Errorf("tiles (-want +got):\n%s", diff)
	}
}

// Sealing is led by one process at a time, and has nothing to do with who projects.
func TestLeadSealing(t *testing.T) {
	_, app := testenv.Database(t)
	leads := func(ctx context.Context, log *eventlog.Log) (began chan struct{}, ended chan error) {
		began, ended = make(chan struct{}), make(chan error, 1)
		go func() {
			ended <- log.LeadSealing(ctx, func(ctx context.Context) error {
				close(began)
				<-ctx.Done()
				return context.Cause(ctx)
			})
		}()
		return began, ended
	}
	first, resign := context.WithCancel(t.Context())
	began, ended := leads(first, open(t, eventlog.Config{URL: app}))
	within(t, "the first seals", began)
	other := open(t, eventlog.Config{URL: app})
	own := errors.New("own")
	err := other.Lead(t.Context(), func(_ context.Context, term int64) error {
		if term != 1 {
			t.Errorf("got term %d: sealing has counted one", term)
		}
		return own
	})
	if err != own {
		t.Errorf("got %v", err)
	}
	second, end := context.WithCancel(t.Context())
	began2, ended2 := leads(second, other)
	select {
	case <-began2:
		t.Error("two seal at once")
	default:
	}
	resign()
	within(t, "the first ends", ended)
	within(t, "the second seals", began2)
	end()
	within(t, "the second ends", ended2)
}
