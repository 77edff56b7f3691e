package api_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// A replay is asked for once, however often that is asked, until it is done.
func TestReplay(t *testing.T) {
	t.Parallel()
	_, rdb := testenv.Redis(t)
	c := serve(t, rdb)
	c.do("GET", "/v1/replay", "").problem(t, api.ProblemNoReplay)
	ask := func(actor string) view.Replay {
		t.Helper()
		return decoded[view.Replay](t, c.do("POST", "/v1/replay", "", api.HeaderActor, actor))
	}
	first := ask("ann")
	if first.By != "ann" || first.State != view.ReplayAsked || first.ID == "" || first.AskedAt.IsZero() {
		t.Errorf("got %+v", first)
	}
	if diff := cmp.Diff(first, ask("bob")); diff != "" {
		t.Errorf("a second one is begun:\n%s", diff)
	}
	if diff := cmp.Diff(first, get[view.Replay](c, "/v1/replay")); diff != "" {
		t.Errorf("it is answered as another:\n%s", diff)
	}
	rdb.HSet(t.Context(), view.ReplayKey, "state", string(view.ReplayDone))
	if next := ask("bob"); next.ID == first.ID || next.By != "bob" {
		t.Errorf("after the first is done, the next is %+v", next)
	}
	c.do("POST", "/v1/replay", "", "Sec-Fetch-Site", "cross-site").problem(t, api.ProblemCrossOrigin)
}

func TestReplayNeedsRedis(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]*client{
		"none": serve(t, nil),
		"down": serve(t, quickRedis(t, "redis://127.0.0.1:1")),
	} {
		for _, method := range []string{http.MethodPost, http.MethodGet} {
			if p := c.do(method, "/v1/replay", "").problem(t, api.ProblemUnavailable); p.Status != http.StatusServiceUnavailable {
				t.Errorf("%s, %s: got status %d", name, method, p.Status)
			}
		}
	}
}
