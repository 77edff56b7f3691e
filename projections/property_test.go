package projections

import (
	"context"
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// Whatever is posted to a small tree, in whatever order namespaces come into being, and whatever is lost on the way: the
// views equal a fold of the log. One log takes all runs, each under a root of its own.
func TestAnyChangesProjectAsTheyFold(t *testing.T) {
	ctx := context.Background()
	log := testenv.Log(t)
	_, rdb := testenv.Redis(t)
	running(t, log, rdb, quick)
	projected(t, rdb, 0)
	root := 0
	rapid.Check(t, func(rt *rapid.T) {
		root++
		names := []events.Namespace{}
		for _, below := range []string{"", ".a", ".a.b", ".c"} {
			names = append(names, events.Namespace(fmt.Sprintf("root-%d%s", root, below)))
		}
		exists := map[events.Namespace]bool{}
		var last events.Position
		for range rapid.IntRange(1, 15).Draw(rt, "change sets") {
			ns := rapid.SampledFrom(names).Draw(rt, "namespace")
			if rapid.IntRange(0, 9).Draw(rt, "lose") == 0 {
				lost := rapid.SampledFrom(append(viewKeys(ns), view.ProjectorKey)).Draw(rt, "what")
				if err := rdb.Del(ctx, lost).Err(); err != nil {
					rt.Fatal(err)
				}
			}
			var evs []events.Event
			if !exists[ns] {
				evs, exists[ns] = append(evs, created()), true
			}
			for range rapid.IntRange(1-len(evs), 4).Draw(rt, "events") {
				evs = append(evs, anyEvent(rt))
			}
			last = post(t, log, ns, evs...).Position
		}
		projected(t, rdb, last)
		tree, err := log.Load(ctx, names[0], 0)
		if err != nil {
			rt.Fatal(err)
		}
		testenv.Eventually(t, "views of the tree equal the log", func() bool { return sameTree(rdb, headOf(t, log), tree) == nil })
	})
	equalToLog(t, log, rdb)
}

func anyEvent(t *rapid.T) events.Event {
	k := rapid.SampledFrom([]events.Key{"x", "y", "z"}).Draw(t, "key")
	v := rapid.SampledFrom([]events.Value{"1", "2", `"text"`, `{"a":[1]}`}).Draw(t, "value")
	switch rapid.IntRange(0, 4).Draw(t, "event") {
	case 0:
		return events.KeyDefined{Key: k, Definition: events.Definition{Kind: events.JSON, Default: v}}
	case 1:
		return events.KeyRemoved{Key: k}
	case 2:
		return events.ValueUnset{Key: k}
	}
	return set(k, v)
}

func sameTree(rdb redis.UniversalClient, head eventlog.Head, tree config.Tree) error {
	for ns := range tree.Namespaces() {
		if err := compareView(rdb, head, tree, ns.Name); err != nil {
			return fmt.Errorf("%s: %w", ns.Name, err)
		}
	}
	return nil
}
