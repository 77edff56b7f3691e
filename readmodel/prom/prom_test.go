package prom_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel"
	"github.com/holdfast-config/holdfast/readmodel/prom"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a source with one value at position 7 of 9.
type memory struct{}

func (memory) Name() string { return "memory" }
func (memory) Close() error { return nil }

func (memory) Follow(ctx context.Context, _ events.Namespace, _ view.Head, sink readmodel.Sink) error {
	sink.Load(view.Head{Epoch: "e", Position: 7, Revision: 3}, map[events.Key]readmodel.Entry{"a": {Value: "1", Position: 7}})
	sink.Confirm(7, 9, time.Now())
	<-ctx.Done()
	return ctx.Err()
}

func TestCollector(t *testing.T) {
	r, err := readmodel.Open(t.Context(), "payments", readmodel.Config{Source: memory{}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(prom.Collector(r))
	want := `
# HELP holdfast_reader_head_position Last known end of the log.
# TYPE holdfast_reader_head_position gauge
holdfast_reader_head_position{namespace="payments"} 9
# HELP holdfast_reader_position Position of what is shown.
# TYPE holdfast_reader_position gauge
holdfast_reader_position{namespace="payments"} 7
# HELP holdfast_reader_state 1 for the state that the reader is in.
# TYPE holdfast_reader_state gauge
holdfast_reader_state{namespace="payments",state="defaults"} 0
holdfast_reader_state{namespace="payments",state="disk"} 0
holdfast_reader_state{namespace="payments",state="live"} 1
holdfast_reader_state{namespace="payments",state="log"} 0
holdfast_reader_state{namespace="payments",state="stale"} 0
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want),
		"holdfast_reader_head_position", "holdfast_reader_position", "holdfast_reader_state"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(registry); err != nil || n != 15 {
		t.Errorf("got %d metrics, %v, want 15", n, err)
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}
