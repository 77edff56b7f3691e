package api_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// TestInstances: each instance stands as its report, the log and the view in Redis say.
func TestInstances(t *testing.T) {
	_, rdb := testenv.Redis(t)
	c := serve(t, rdb)
	c.post("shop", `{"do":"create","open":true}`)
	at := c.post("shop.a", `{"do":"create","open":true},{"do":"set","key":"k","value":1}`).Position
	last := c.post("shop", `{"do":"set","key":"k","value":2}`).Position // does not touch the view of shop.a
	epoch := c.fold("shop", 0).Epoch
	report := func(in view.Instance, ttl time.Duration) {
		t.Helper()
		in.App = "checkout"
		if err := view.ReportInstance(t.Context(), rdb, "shop.a", in, ttl); err != nil {
			t.Fatal(err)
		}
	}
	report(view.Instance{Instance: "before", Epoch: epoch, Position: at - 1}, time.Minute)
	report(view.Instance{Instance: "from redis", Epoch: epoch, Position: at}, time.Minute)
	report(view.Instance{Instance: "from the log", Epoch: epoch, Position: last}, time.Minute)
	report(view.Instance{Instance: "gone", Epoch: epoch, Position: at}, time.Millisecond)
	report(view.Instance{Instance: "new"}, time.Minute)
	report(view.Instance{Instance: "other history", Epoch: "x", Position: last}, time.Minute)
	report(view.Instance{Instance: "rejects", Epoch: epoch, Position: at, Rejected: &view.Rejected{Position: last, Why: "no"}}, time.Minute)

	standings := func() (api.Instances, map[string]api.Standing) {
		t.Helper()
		got := get[api.Instances](c, "/v1/namespaces/shop.a/instances")
		all := map[string]api.Standing{}
		for _, in := range got.Instances {
			all[in.Instance.Instance] = in.Standing
			if in.ReportedAt.IsZero() {
				t.Errorf("%s: no time", in.Instance.Instance)
			}
		}
		return got, all
	}
	testenv.Eventually(t, "one is gone", func() bool { _, all := standings(); return all["gone"] == api.Gone })
	want := map[string]api.Standing{
		"before": api.Behind, "from redis": api.Behind, "from the log": api.Current, "gone": api.Gone,
		"new": api.Behind, "other history": api.Behind, "rejects": api.Rejecting,
	}
	got, all := standings()
	if diff := cmp.Diff(want, all); diff != "" || got.Position != last || got.Epoch != epoch {
		t.Errorf("without a view in Redis: %s, position %d", diff, got.Position)
	}

	// The projector has all of the log: the view in Redis, which is before it, is the newest.
	putView(t, rdb, "shop.a", view.Head{Epoch: epoch, Term: 1, Position: at, Revision: 1}, map[events.Key]view.Entry{})
	beat(t, rdb, epoch, last, time.Now())
	want["from redis"] = api.Current
	got, all = standings()
	if diff := cmp.Diff(want, all); diff != "" || got.Position != at {
		t.Errorf("with a view in Redis: %s, position %d", diff, got.Position)
	}
	c.do("GET", "/v1/namespaces/none/instances", "").problem(t, api.ProblemNamespaceNotFound)
}

// TestInstancesWithoutRedis: reports are nowhere else, and none is not said of those that can not be read.
func TestInstancesWithoutRedis(t *testing.T) {
	c := serve(t, nil)
	c.post("shop", `{"do":"create"}`)
	c.do("GET", "/v1/namespaces/shop/instances", "").problem(t, api.ProblemUnavailable)
	dead := serve(t, quickRedis(t, "redis://127.0.0.1:1"))
	dead.post("shop", `{"do":"create"}`)
	dead.do("GET", "/v1/namespaces/shop/instances", "").problem(t, api.ProblemUnavailable)
}
