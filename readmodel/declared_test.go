package readmodel_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel"
	"github.com/holdfast-config/holdfast/readmodel/readmodeltest"
)

type mode string

func (mode) MarshalText() ([]byte, error) {
	return nil, errors.New("stored as it is, not as its type says")
}

func TestOptions(t *testing.T) {
	t.Parallel()
	size := readmodel.Size("size", 1, readmodel.Range[int64](0, 1<<20))
	pick := readmodel.String("pick", "a", readmodel.OneOf("a", "b"))
	even := readmodel.Int("even", 0, readmodel.Check(func(n int) error {
		if n == 7 {
			panic("hunter2")
		}
		if n%2 != 0 {
			return errors.New("value is odd")
		}
		return nil
	}))
	kind := readmodel.Enum[mode]("mode", "safe", "safe", "fast")
	wait := readmodel.Duration("wait", time.Second, readmodel.Range(time.Second, time.Minute))
	r := readmodeltest.New(t, size.Value(1<<20), pick.Value("b"), even.Value(2), kind.Value("fast"), wait.Value(time.Minute))
	want := []any{int64(1 << 20), "b", 2, mode("fast"), time.Minute}
	got := func() []any { return []any{size.Get(r), pick.Get(r), even.Get(r), kind.Get(r), wait.Get(r)} }
	if diff := cmp.Diff(want, got()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	r.Set(size.Value(1<<20+1), pick.Value("c"), even.Value(3), kind.Value("slow"), wait.Value(0))
	if diff := cmp.Diff(want, got()); diff != "" {
		t.Errorf("the last good values have not stayed (-want +got):\n%s", diff)
	}
	reasons := map[string]string{}
	for _, refused := range r.Status().Refused {
		reasons[string(refused.Key)] = refused.Err.Error()
	}
	if diff := cmp.Diff(map[string]string{
		"even": "test/even: value is odd", "mode": "test/mode: value is none of [safe fast]", "pick": "test/pick: value is none of [a b]",
		"size": "test/size: value is not between 0 and 1048576", "wait": "test/wait: value is not between 1s and 1m0s",
	}, reasons); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
	r.Set(even.Value(7))
	if _, meta := even.Lookup(r); even.Get(r) != 2 || meta.Err.Error() != "test/even: value could not be decoded: panic with a string" {
		t.Errorf("got %d, %v", even.Get(r), meta.Err)
	}
}

func TestDefaultThatIsRefusedPanics(t *testing.T) {
	t.Parallel()
	for name, declare := range map[string]func(){
		"range": func() { readmodel.Int("a", 0, readmodel.Range(1, 2)) },
		"enum":  func() { readmodel.Enum("a", "x", "y") },
		"check": func() { readmodel.Check[int](nil) },
		"zero":  func() { readmodel.Int("a", 0, readmodel.Option[int]{}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: declared", name)
				}
			}()
			declare()
		}()
	}
}

// A refused value keeps the last good one, for as long as it is refused; taking the value away brings the default.
func TestLastGoodValue(t *testing.T) {
	t.Parallel()
	var log lines
	key := readmodel.Int("n", 1, readmodel.Range(0, 10))
	r := readmodeltest.Open(t, readmodel.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}, key.Value(99))
	if n, meta := key.Lookup(r); n != 1 || meta.Err == nil || meta.From != "" {
		t.Errorf("refused from the first on: got %d, %+v", n, meta)
	}
	r.Set(key.Value(5))
	good := r.Snapshot()
	r.Set(key.Value(11))
	r.Set(left.Value(1))
	if n, meta := key.Lookup(r); n != 5 || meta.Err == nil || meta.Position != 2 || meta.Source != "memory" {
		t.Errorf("got %d, %+v", n, meta)
	}
	if n, meta := key.Lookup(good); n != 5 || meta.Err != nil || meta.Age <= 0 {
		t.Errorf("got %d, %+v, want an age: the reader has gone on", n, meta)
	}
	if n := log.count("value refused"); n != 2 {
		t.Errorf("logged %d times", n)
	}
	late := readmodel.Int("n", 1, readmodel.Range(0, 10)) // has seen nothing good
	if n := late.Get(r); n != 1 {
		t.Errorf("got %d", n)
	}
	r.Unset(key)
	if n, meta := key.Lookup(r); n != 1 || meta.Err != nil {
		t.Errorf("got %d, %+v", n, meta)
	}
	r.Disconnect()
	if _, meta := key.Lookup(r); meta.Age <= 0 {
		t.Error("no age although the source is gone")
	}
}

// A vetoed state's values were never in use: they are not the last good ones.
func TestLastGoodValueIsNotAVetoedOne(t *testing.T) {
	t.Parallel()
	key := readmodel.Int("n", 1, readmodel.Range(0, 10))
	r := readmodeltest.New(t, key.Value(2))
	key.Get(r)
	stop := r.Prepare(func(_ context.Context, c readmodel.Change) error {
		if key.Get(c.After) == 3 {
			return errTooMany
		}
		return nil
	})
	defer stop()
	if err := r.TrySet(key.Value(3)); err == nil {
		t.Fatal("not vetoed")
	}
	r.Set(key.Value(11))
	if n := key.Get(r); n != 2 {
		t.Errorf("got %d, want what was shown last", n)
	}
}

func TestKeyOnChange(t *testing.T) {
	t.Parallel()
	key := readmodel.JSON("limits", limits{Burst: 1})
	r := readmodeltest.New(t)
	var got []int8
	stop := key.OnChange(r.Reader, func(before, after limits) { got = append(got, before.Burst, after.Burst) })
	r.Set(key.Value(limits{Burst: 1})) // as the default
	r.Set(key.Value(limits{Burst: 2}))
	r.Set(left.Value(1))
	r.Set(readmodeltest.Raw("limits", `"refused"`))
	r.Set(key.Value(limits{Burst: 3}))
	r.Unset(key)
	stop()
	r.Set(key.Value(limits{Burst: 4}))
	if want := []int8{1, 2, 2, 3, 3, 1}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestChanges(t *testing.T) {
	t.Parallel()
	r := readmodeltest.New(t, left.Value(0))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changes := r.Changes(ctx)
	r.Set(left.Value(1), right.Value(1)) // before the loop, after the call
	var positions []events.Position
	for c := range changes {
		positions = append(positions, c.Position)
		if c.Position == 2 {
			r.Set(left.Value(2))
			continue
		}
		break
	}
	for n := range 100 {
		r.Set(left.Value(n + 3))
	}
	merged := 0
	for c := range changes {
		if c.Resynced {
			merged++
		}
		if positions = append(positions, c.Position); c.Position == 103 {
			cancel()
		}
	}
	if !slices.IsSorted(positions) || len(positions) > 70 || positions[0] != 2 || positions[1] != 3 || merged == 0 {
		t.Errorf("got %v", positions)
	}
	r.Close()
	for range r.Changes(t.Context()) {
		t.Error("a closed reader has changes")
	}
}

func TestPin(t *testing.T) {
	t.Parallel()
	r, other := readmodeltest.New(t, left.Value(1)), readmodeltest.New(t, left.Value(100))
	if readmodel.Pinned(t.Context()) != nil || r.Pinned(t.Context()) != r.Snapshot() {
		t.Error("pinned without Pin")
	}
	ctx := readmodel.Pin(readmodel.Pin(t.Context(), r.Reader), other.Reader)
	r.Set(left.Value(2))
	ctx = readmodel.Pin(ctx, r.Reader) // keeps what is pinned
	if a, b, c := left.Get(r.Pinned(ctx)), left.Get(readmodel.Pinned(ctx)), left.Get(other.Pinned(ctx)); a != 1 || b != 1 || c != 100 {
		t.Errorf("got %d, %d, %d", a, b, c)
	}
	handler := readmodel.PinRequests(r.Reader)(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		first := left.Get(readmodel.Pinned(req.Context()))
		r.Set(left.Value(3))
		fmt.Fprint(w, first, left.Get(readmodel.Pinned(req.Context())), left.Get(r))
	}))
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest("GET", "/", nil))
	if got := answer.Body.String(); got != "2 2 3" {
		t.Errorf("got %s", got)
	}
}

// Keys that become known while changes pour in never show a value of another position than the snapshot's.
func TestKeysBecomeKnownDuringChanges(t *testing.T) {
	t.Parallel()
	r := readmodeltest.New(t, left.Value(0), right.Value(0))
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for i := 0; ; i++ {
				a, b := left, right
				if i < 300 {
					a, b = readmodel.Int("left", -1), readmodel.Int("right", -2)
				}
				s := r.Snapshot()
				if x, y := a.Get(s), b.Get(s); x != y {
					t.Errorf("torn: %d and %d at %d", x, y, s.Position())
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for n := range 300 {
		r.Set(left.Value(n), right.Value(n))
	}
	close(stop)
	readers.Wait()
	if left.Get(r) != 299 {
		t.Errorf("got %d", left.Get(r))
	}
	testenv.Eventually(t, "nothing is refused", func() bool { return r.Status().Refused == nil })
}
