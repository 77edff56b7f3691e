package readmodel

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// What a reader says of its age is what has passed, and it is healthy for as long as it was asked to be.
func TestHealthByAge(t *testing.T) {
	puppets(t, func(t *testing.T, r *Reader, redis, api *puppet) {
		r.cfg.MaxStale = time.Minute
		if err := r.Health(); !errors.Is(err, errNothing) {
			t.Errorf("with nothing: %v", err)
		}
		live := redis.next(t)
		load(live, "e", 1)
		live.Confirm(1, 1, time.Now())
		live.fail <- errors.New("gone")
		synctest.Wait()
		<-time.After(59 * time.Second) // of the bubble's time
		if st, err := r.Status(), r.Health(); err != nil || st.Age != 59*time.Second {
			t.Errorf("after 59 s: age %s, %v", st.Age, err)
		}
		<-time.After(2 * time.Second)
		if st, err := r.Status(), r.Health(); !errors.Is(err, errTooStale) || st.Age != 61*time.Second || !strings.Contains(err.Error(), "gone") {
			t.Errorf("after 61 s: age %s, %v", st.Age, err)
		}
		api.next(t).Confirm(1, 1, time.Now())
		if st, err := r.Status(), r.Health(); err != nil || st.Age != 0 || st.State != Log {
			t.Errorf("by the log: %+v, %v", st, err)
		}
	})
}

func TestStatusHandler(t *testing.T) {
	puppets(t, func(t *testing.T, r *Reader, redis, _ *puppet) {
		get := func(accept string) *httptest.ResponseRecorder {
			w, req := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
			req.Header.Set("Accept", accept)
			StatusHandler(r).ServeHTTP(w, req)
			return w
		}
		if w := get(""); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), `"state":"defaults"`) {
			t.Errorf("with nothing: %d %s", w.Code, w.Body)
		}
		live := redis.next(t)
		live.Load(view.Head{Epoch: "e", Position: 7, Revision: 3}, map[events.Key]Entry{"secret": {Value: `"hunter2"`, Position: 7}})
		live.Confirm(7, 9, time.Now())
		w := get("application/json")
		var got statusPage
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%d %v", w.Code, err)
		}
		contact := r.Status().LastContact.UTC()
		want := statusPage{Healthy: true, Readers: []readerStatus{{
			Namespace: "n", Healthy: true, State: Live, Source: "redis", Epoch: "e", Position: 7, Revision: 3, Head: 9,
			LastContact: &contact, Keys: 1,
		}}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		live.Doubt(errors.New("<b>no</b> heartbeat"))
		page := get("text/html,application/xhtml+xml")
		if body := page.Body.String(); page.Code != http.StatusOK || !strings.Contains(body, "&lt;b&gt;no&lt;/b&gt; heartbeat") || !strings.Contains(body, "stale") {
			t.Errorf("%d %s", page.Code, body)
		}
		if strings.Contains(w.Body.String()+page.Body.String(), "hunter2") {
			t.Error("a value is shown")
		}
	})
}
