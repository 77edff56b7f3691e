package projections

import (
	"bufio"
	"context"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// revisionOfConf is a line of the history of redis.conf.
type revisionOfConf struct {
	Commit string
	Set    map[events.Key]events.Value
	Unset  []events.Key
}

func (r revisionOfConf) events() []events.Event {
	var evs []events.Event
	for _, key := range slices.Sorted(maps.Keys(r.Set)) {
		evs = append(evs, set(key, r.Set[key]))
	}
	for _, key := range r.Unset {
		evs = append(evs, events.ValueUnset{Key: key})
	}
	return evs
}

// A real history, step by step: what redis.conf was from 2009 on.
func TestHistoryOfRedisConf(t *testing.T) {
	file, err := os.Open("testdata/redis_conf_history.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	log := testenv.Log(t)
	_, rdb := testenv.Redis(t)
	running(t, log, rdb, quick)
	projected(t, rdb, 0)
	post(t, log, "redis", created())
	post(t, log, "redis.below", created(), set("port", "7777"))

	steps := 0
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for ; lines.Scan(); steps++ {
		var r revisionOfConf
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		at := post(t, log, "redis", r.events()...)
		projected(t, rdb, at.Position)
		if err := compare(log, rdb); err != nil {
			t.Fatalf("after %s: %v", r.Commit, err)
		}
	}
	if lines.Err() != nil || steps != 95 {
		t.Fatalf("replayed %d change sets, want 95: %v", steps, lines.Err())
	}

	data, err := os.ReadFile("testdata/redis_conf_history.final.json")
	if err != nil {
		t.Fatal(err)
	}
	var want map[events.Key]events.Value
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	got := map[events.Key]events.Value{}
	if _, err := view.Load(context.Background(), rdb, "redis", func(key events.Key, e view.Entry) error {
		got[key] = e.Value
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the view differs from the final file (-want +got):\n%s", diff)
	}
}
