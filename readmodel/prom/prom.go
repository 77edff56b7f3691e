// Package prom shows the freshness of readers as Prometheus metrics, under a registerer that the caller gives:
//
//	prometheus.MustRegister(prom.Collector(payments, orders))
//
// Each has the label namespace:
//
//	holdfast_reader_state           gauge    1 for the state the reader is in, of those in the label state
//	holdfast_reader_healthy         gauge    1 if its health check passes
//	holdfast_reader_age_seconds     gauge    since what is shown was last confirmed; 0 while it is
//	holdfast_reader_position        gauge    position of what is shown
//	holdfast_reader_head_position   gauge    last known end of the log
//	holdfast_reader_revision        gauge    revision of the namespace as shown
//	holdfast_reader_keys            gauge    keys that have an effective value
//	holdfast_reader_rejecting       gauge    1 while the newest state is vetoed and an older one is shown
//	holdfast_reader_refused_values  gauge    values that the program's own declarations refuse
//	holdfast_reader_vetoes_total    counter  states that were vetoed
//	holdfast_reader_resyncs_total   counter  times the view had to be loaded anew
//
// It is a package of its own so that services without Prometheus do not get its client. What is collected is what
// [readmodel.Reader.Status] says at that moment, so that a closed reader is stale; never values.
package prom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-config/holdfast/readmodel"
)

var states = []readmodel.State{readmodel.Live, readmodel.Log, readmodel.Stale, readmodel.Disk, readmodel.Defaults}

type collector []*readmodel.Reader

// Collector returns a collector of the readers' metrics. Readers of one namespace belong under registerers that tell them
// apart, see [prometheus.WrapRegistererWith]: gathering fails where two say the same.
func Collector(readers ...*readmodel.Reader) prometheus.Collector { return collector(readers) }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("holdfast_reader_"+name, help, append([]string{"namespace"}, labels...), nil)
}

var (
	stateDesc    = desc("state", "1 for the state that the reader is in.", "state")
	healthyDesc  = desc("healthy", "1 if the reader's health check passes.")
	ageDesc      = desc("age_seconds", "Time since what is shown was last confirmed; 0 while it is.")
	positionDesc = desc("position", "Position of what is shown.")
	headDesc     = desc("head_position", "Last known end of the log.")
	revisionDesc = desc("revision", "Revision of the namespace as shown.")
	keysDesc     = desc("keys", "Keys that have an effective value.")
	rejectedDesc = desc("rejecting", "1 while the newest state is vetoed and an older one is shown.")
	refusedDesc  = desc("refused_values", "Values that the program's own declarations refuse.")
	vetoesDesc   = desc("vetoes_total", "States that were vetoed.")
	resyncsDesc  = desc("resyncs_total", "Times the view had to be loaded anew.")
)

func (c collector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{stateDesc, healthyDesc, ageDesc, positionDesc, headDesc, revisionDesc, keysDesc,
		rejectedDesc, refusedDesc, vetoesDesc, resyncsDesc} {
		descs <- d
	}
}

func (c collector) Collect(metrics chan<- prometheus.Metric) {
	for _, r := range c {
		st := r.Status()
		send := func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
			metrics <- prometheus.MustNewConstMetric(d, kind, value, append([]string{string(st.Namespace)}, labels...)...)
		}
		for _, state := range states {
			send(stateDesc, prometheus.GaugeValue, oneIf(st.State == state), string(state))
		}
		send(healthyDesc, prometheus.GaugeValue, oneIf(r.Health() == nil))
		send(ageDesc, prometheus.GaugeValue, st.Age.Seconds())
		send(positionDesc, prometheus.GaugeValue, float64(st.Position))
		send(headDesc, prometheus.GaugeValue, float64(st.Head))
		send(revisionDesc, prometheus.GaugeValue, float64(st.Revision))
		send(keysDesc, prometheus.GaugeValue, float64(st.Keys))
		send(rejectedDesc, prometheus.GaugeValue, oneIf(st.Rejected != nil))
		send(refusedDesc, prometheus.GaugeValue, float64(len(st.Refused)))
		send(vetoesDesc, prometheus.CounterValue, float64(st.Vetoes))
		send(resyncsDesc, prometheus.CounterValue, float64(st.Resyncs))
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
