package projections

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/internal/testenv"
)

// A store goes on from a backup while the projector of the store that was given up still runs: what that one writes is
// refused, and the views are those of the new epoch.
func TestRestoredStoreFencesTheFormer(t *testing.T) {
	leakFree(t)
	former, formerOwner := openBoth(t)
	_, rdb := testenv.Redis(t)
	plant(t, former)
	stale, stopStale := running(t, former, rdb, quick)
	for i := range 5 {
		change(t, former, i)
	}
	equalToLog(t, former, rdb)

	restored, owner := openBoth(t)
	plant(t, restored) // and not the changes
	var epoch string
	if err := formerOwner.QueryRow(t.Context(), `SELECT epoch::text FROM head`).Scan(&epoch); err != nil {
		t.Fatal(err)
	}
	declare(t, owner, epoch)
	running(t, restored, rdb, quick)
	equalToLog(t, restored, rdb)

	before := contents(t, rdb)
	change(t, former, 3)
	testenv.Eventually(t, "the former one says that it is refused", func() bool { return errors.Is(stale.Status().Err, errPast) })
	if err := stopStale(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, contents(t, rdb)); diff != "" {
		t.Errorf("it has changed redis:\n%s", diff)
	}
	change(t, restored, 4)
	equalToLog(t, restored, rdb)
}

// declare makes the database one that was of an epoch and begins a new one.
func declare(t *testing.T, owner *pgx.Conn, epoch string) {
	t.Helper()
	if _, err := owner.Exec(t.Context(), `UPDATE head SET epoch = $1::uuid`, epoch); err != nil {
		t.Fatal(err)
	}
	log, err := eventlog.Open(context.Background(), eventlog.Config{URL: owner.Config().ConnString(), Logger: quick.Logger})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if _, _, err := log.BeginEpoch(t.Context(), "ann", "restored"); err != nil {
		t.Fatal(err)
	}
}
