package main

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/knadh/koanf/v2"
	ldclient "github.com/launchdarkly/go-server-sdk/v7"
	"github.com/launchdarkly/go-server-sdk/v7/ldcomponents"
	"github.com/launchdarkly/go-server-sdk/v7/testhelpers/ldtestdata"

	"github.com/launchdarkly/go-sdk-common/v3/ldcontext"
	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/memprovider"

	"github.com/holdfast-config/holdfast/readmodel"
)

// measureKeys: what it costs to read one declared key, against what other libraries take for one value in memory.
func (b *bench) measureKeys(ctx context.Context) error {
	b.progress("typed keys and peers")
	src := &handSource{keys: 100_000, sink: make(chan readmodel.Sink, 1)}
	number := readmodel.Int(keyName(1), -1)
	r, err := readmodel.Open(ctx, "keys", readmodel.Config{Source: src, Logger: quiet, Keys: []readmodel.Declared{number}})
	if err != nil {
		return err
	}
	defer r.Close()
	<-src.sink
	bound, err := readmodel.Bind[struct {
		Number int `holdfast:"service1.group1.setting1,default=-1"`
	}](r)
	if err != nil {
		return err
	}
	peers, closePeers, err := startPeers(ctx)
	if err != nil {
		return err
	}
	defer closePeers()

	reads := map[string]func(*testing.B){ // each with a loop of its own: a call through a function costs as much as a read
		"typed key": func(tb *testing.B) {
			for tb.Loop() {
				if number.Get(r) != 0 {
					tb.Fatal("another value than was set")
				}
			}
		},
		"bound handle": func(tb *testing.B) {
			for tb.Loop() {
				if bound.Load().Number != 0 {
					tb.Fatal("another value than was set")
				}
			}
		},
	}
	for name, read := range peers {
		reads[name] = func(tb *testing.B) { repeat(tb, read) }
	}
	costs := map[string][]float64{}
	var allocs int64
	for range b.rounds { // the sides take turns
		for name, read := range reads {
			res := testing.Benchmark(func(tb *testing.B) { tb.ReportAllocs(); read(tb) })
			costs[name] = append(costs[name], float64(res.T.Nanoseconds())/float64(res.N))
			if _, peer := peers[name]; !peer {
				allocs = max(allocs, res.AllocsPerOp())
			}
		}
		costs["typed key, all cores"] = append(costs["typed key, all cores"], allCores(number, r))
	}
	b.reportKeys(costs, allocs)
	return nil
}

// reportKeys adds the figures: nanoseconds a read, by who reads, of each round.
func (b *bench) reportKeys(costs map[string][]float64, allocs int64) {
	for _, name := range []string{"typed key", "bound handle"} {
		own := median(costs[name])
		b.report.add(figure{name: name, value: fmt.Sprintf("%.2f ns, %d allocs", own, allocs), peer: "limit 3 ns", ratio: own / 3, bound: 1, most: true})
		for _, p := range []struct {
			name  string
			bound float64
		}{{"LaunchDarkly BoolVariation", 80}, {"OpenFeature in memory", 150}, {"koanf Int", 25}} {
			peer := median(costs[p.name])
			b.report.add(figure{name: name, value: fmt.Sprintf("%.2f ns", own), peer: fmt.Sprintf("%s, %.0f ns", p.name, peer), ratio: peer / own, bound: p.bound})
		}
	}
	one, all := median(costs["typed key"]), median(costs["typed key, all cores"])
	b.report.add(figure{
		name: fmt.Sprintf("typed key, %d cores", runtime.GOMAXPROCS(0)), value: fmt.Sprintf("%.2f ns", all), peer: "one core", ratio: one / all,
		bound: 0.75 * float64(runtime.GOMAXPROCS(0)),
	})
}

func repeat(tb *testing.B, read func() bool) {
	for tb.Loop() {
		if !read() {
			tb.Fatal("another value than was set")
		}
	}
}

// allCores is what a read costs when each core reads.
func allCores(key *readmodel.Key[int], r *readmodel.Reader) float64 {
	res := testing.Benchmark(func(tb *testing.B) {
		tb.RunParallel(func(p *testing.PB) {
			for p.Next() {
				if key.Get(r) != 0 {
					panic("another value than was set")
				}
			}
		})
	})
	return float64(res.T.Nanoseconds()) / float64(res.N)
}

// startPeers returns a read of one value by each peer, from its own store in memory.
func startPeers(ctx context.Context) (map[string]func() bool, func(), error) {
	data := ldtestdata.DataSource()
	data.Update(data.Flag("flag").BooleanFlag().VariationForAll(true))
	ld, err := ldclient.MakeCustomClient("key", ldclient.Config{
		DataSource: data, Events: ldcomponents.NoEvents(), Logging: ldcomponents.NoLogging(), DiagnosticOptOut: true,
	}, 0)
	if err != nil {
		return nil, nil, err
	}
	user := ldcontext.New("user")

	provider := memprovider.NewInMemoryProvider(map[string]memprovider.InMemoryFlag{"flag": {
		Key: "flag", State: memprovider.Enabled, DefaultVariant: "on", Variants: map[string]any{"on": true, "off": false},
	}})
	if err := openfeature.SetProviderAndWait(provider); err != nil {
		return nil, nil, err
	}
	of, nobody := openfeature.NewClient("bench"), openfeature.EvaluationContext{}

	k := koanf.New(".")
	if err := k.Set("service1.group1.setting1", 7); err != nil {
		return nil, nil, err
	}
	return map[string]func() bool{
		"LaunchDarkly BoolVariation": func() bool {
			on, err := ld.BoolVariation("flag", user, false)
			return on && err == nil
		},
		"OpenFeature in memory": func() bool {
			on, err := of.BooleanValue(ctx, "flag", false, nobody)
			return on && err == nil
		},
		"koanf Int": func() bool { return k.Int("service1.group1.setting1") == 7 },
	}, func() { ld.Close(); openfeature.Shutdown() }, nil
}
