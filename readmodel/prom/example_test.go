package prom_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-config/holdfast/readmodel"
	"github.com/holdfast-config/holdfast/readmodel/prom"
)

func ExampleCollector() {
	r, err := readmodel.Open(context.Background(), "payments.prod", readmodel.Config{
		Source: memory{}, Logger: slog.New(slog.DiscardHandler), // a service: Redis: "redis://localhost:6379"
	})
	if err != nil {
		panic(err)
	}
	defer r.Close()
	registry := prometheus.NewRegistry()
	registry.MustRegister(prom.Collector(r))
	families, err := registry.Gather() // what promhttp.HandlerFor(registry, …) serves
	if err != nil {
		panic(err)
	}
	for _, f := range families {
		if m := f.Metric[0]; f.GetName() == "holdfast_reader_position" {
			fmt.Println(f.GetName(), m.Label[0].GetValue(), m.Gauge.GetValue())
		}
	}
	// Output: holdfast_reader_position payments.prod 7
}
