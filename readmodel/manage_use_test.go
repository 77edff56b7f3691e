package readmodel

import (
	"testing"
	"time"
)

// Who looks a component up while it is replaced may come too late: nobody gets one that is closed or about to be.
func TestUseRetired(t *testing.T) {
	t.Parallel()
	m := &Managed[string]{reader: quietReader("n")}
	u := m.using("component")
	if !u.acquire() {
		t.Fatal("the newest component can not be used")
	}
	u.retire(time.Hour)
	if !u.acquire() {
		t.Error("refused while somebody uses it")
	}
	u.release()
	u.release()
	<-u.ended
	if u.acquire() {
		t.Error("a closed component was handed out")
	}
}
