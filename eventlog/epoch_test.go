package eventlog_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
)

// An epoch begins with an event of the log; tails end, and appenders go on in the new one.
func TestBeginEpoch(t *testing.T) {
	ownerURL, app := testenv.Database(t)
	owner, log := open(t, eventlog.Config{URL: ownerURL}), open(t, eventlog.Config{URL: app})
	mustAppend(t, log, "a", created, set("k", 1))
	first, err := log.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tailing, tailEnded := make(chan struct{}), make(chan error, 1)
	go func() {
		begun := false
		tailEnded <- log.Tail(t.Context(), 0, func([]events.Recorded, eventlog.Head) error {
			if !begun {
				close(tailing)
			}
			begun = true
			return nil
		})
	}()
	within(t, "the tail is under way", tailing)

	began, at, err := owner.BeginEpoch(t.Context(), "ann", "restored the backup of monday")
	if err != nil {
		t.Fatal(err)
	}
	if began.Previous != first.Epoch || at.Epoch != began.Epoch || began.Epoch == first.Epoch || at.Position != 3 {
		t.Errorf("got %+v at %+v, after %+v", began, at, first)
	}
	if err := within(t, "the tail ends", tailEnded); !errors.Is(err, eventlog.ErrEpochChanged) {
		t.Errorf("the tail ended with %v", err)
	}
	if a := mustAppend(t, log, "a", set("k", 2)); a.Position != 4 || a.Revision != 2 {
		t.Errorf("appended %+v", a)
	}
	second, _, err := owner.BeginEpoch(t.Context(), "ann", "")
	if err != nil {
		t.Fatal(err)
	}
	if second.Epoch <= began.Epoch || second.Previous != began.Epoch {
		t.Errorf("%s does not come after %s", second.Epoch, began.Epoch)
	}
	got := readAll(t, log)
	want := []events.Recorded{
		{Position: 3, Namespace: events.LogNamespace, Revision: 1, Actor: "ann", Reason: "restored the backup of monday", Event: began},
		{Position: 5, Namespace: events.LogNamespace, Revision: 2, Actor: "ann", Event: second},
	}
	if diff := cmp.Diff(want, []events.Recorded{got[2], got[4]}, cmpopts.IgnoreFields(events.Recorded{}, "Time")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	names, err := log.Namespaces(t.Context(), "", 10)
	if err != nil || len(names) != 1 {
		t.Errorf("namespaces %v, %v", names, err)
	}
}

func TestBeginEpochRefuses(t *testing.T) {
	ownerURL, app := testenv.Database(t)
	if _, _, err := open(t, eventlog.Config{URL: app}).BeginEpoch(t.Context(), "eve", ""); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("the application's role: got %v", err)
	}
	execute(t, ownerURL, `UPDATE head SET epoch = 'ffffffff-ffff-7fff-8fff-ffffffffffff'`)
	owner := open(t, eventlog.Config{URL: ownerURL})
	if _, _, err := owner.BeginEpoch(context.Background(), "ann", ""); !errors.Is(err, eventlog.ErrClockBehind) || errors.Is(err, eventlog.ErrUnavailable) {
		t.Errorf("before the present epoch: got %v", err)
	}
	if evs := readAll(t, owner); len(evs) != 0 {
		t.Errorf("it left %v", evs)
	}
}

// Whoever gets no answer to COMMIT is not told that nothing was stored.
func TestBeginEpochUnanswered(t *testing.T) {
	ownerURL, _ := testenv.Database(t)
	owner := open(t, eventlog.Config{URL: ownerURL})
	execute(t, ownerURL, `
		CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
		    PERFORM pg_terminate_backend(pg_backend_pid());
		    RETURN NULL;
		END
		$$`)
	execute(t, ownerURL, `
		CREATE CONSTRAINT TRIGGER die AFTER UPDATE ON head
		DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die()`)
	if _, _, err := owner.BeginEpoch(t.Context(), "ann", "restored"); !errors.Is(err, eventlog.ErrEpochUnknown) || errors.Is(err, eventlog.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	execute(t, ownerURL, `DROP TRIGGER die ON head`)
	if _, at, err := owner.BeginEpoch(t.Context(), "ann", "restored"); err != nil || at.Position != 1 {
		t.Errorf("again: %+v, %v", at, err)
	}
}
