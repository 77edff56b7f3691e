package e2e

import (
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel"
)

// heartbeat is how often the projector says that nothing is missing.
const heartbeat = time.Second

// What a reader says of its age is what was done to it, to within a heartbeat, whichever way it was cut off; and no age is
// left when it is over.
func TestAgeIsWhatWasInjected(t *testing.T) {
	s := newSystem(t, 1)
	projector := s.projector()
	createPairs(t, s.apis[0].url, parent, child)
	network := testenv.Proxy(t, s.redis.URL)
	r, err := readmodel.Open(t.Context(), string(child), readmodel.Config{Redis: network.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, fault := range []struct {
		name         string
		inject, mend func()
	}{
		{"the network is cut", network.Cut, network.Restore},
		{"the network hangs", network.Hang, network.Restore},
		{"the projector stands still", func() { projector.signal(syscall.SIGSTOP) }, func() { projector.signal(syscall.SIGCONT) }},
	} {
		began := time.Now()
		fault.inject()
		testenv.Eventually(t, "stale: "+fault.name, func() bool { return r.Status().State == readmodel.Stale })
		testenv.Eventually(t, "some age: "+fault.name, func() bool {
			least := time.Since(began)
			age := r.Status().Age
			if most := time.Since(began) + heartbeat; age < least-heartbeat || age > most {
				t.Errorf("%s for %s to %s: the reader says %s", fault.name, least, most-heartbeat, age)
			}
			return least > 5*heartbeat
		})
		fault.mend()
		testenv.Eventually(t, "fresh again: "+fault.name, func() bool {
			st := r.Status()
			return st.State == readmodel.Live && st.Age == 0
		})
	}
}
