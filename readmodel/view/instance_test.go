package view_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

var instance = view.Instance{
	App: "checkout", Instance: "checkout-7", Host: "node-3", Version: "v1.2.0", Epoch: "e", Position: 1 << 60, Revision: 12,
	Source: "redis", State: "live", AgeMs: 20, Rejected: &view.Rejected{Position: 9, Why: `pool: "too <small>"`},
}

// TestReports: what is reported is listed with the time, the newest report of an instance counts, and one that was not
// renewed is listed as gone.
func TestReports(t *testing.T) {
	_, rdb := testenv.Redis(t)
	const ns = events.Namespace("payments.prod")
	put := func(in view.Instance, ttl time.Duration) {
		t.Helper()
		if err := view.ReportInstance(t.Context(), rdb, ns, in, ttl); err != nil {
			t.Fatal(err)
		}
	}
	early := instance
	early.Position = 3
	put(early, time.Minute)
	put(instance, time.Minute)
	put(view.Instance{App: "billing", Instance: "b"}, time.Millisecond)
	rdb.HSet(t.Context(), view.InstancesKey(ns), "foreign", "no report", "other", `{"expires_at":99999999999999}`)

	var got []view.Instance
	testenv.Eventually(t, "the report is over", func() bool {
		var err error
		if got, err = view.ListInstances(t.Context(), rdb, ns); err != nil {
			t.Fatal(err)
		}
		return len(got) > 0 && got[0].Gone
	})
	want := []view.Instance{{App: "billing", Instance: "b", Gone: true}, instance}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(view.Instance{}, "ReportedAt")); diff != "" {
		t.Error(diff)
	}
	for _, in := range got {
		if age := time.Since(in.ReportedAt); age < -time.Minute || age > time.Minute {
			t.Errorf("%s reported %s ago", in.Instance, age)
		}
	}
	if left := rdb.PTTL(t.Context(), view.InstancesKey(ns)).Val(); left <= 0 {
		t.Errorf("the hash stays for ever: %s", left)
	}
}

// TestReportForm pins what a report looks like in Redis.
func TestReportForm(t *testing.T) {
	_, rdb := testenv.Redis(t)
	if err := view.ReportInstance(t.Context(), rdb, "payments", instance, time.Minute); err != nil {
		t.Fatal(err)
	}
	got := rdb.HGet(t.Context(), view.InstancesKey("payments"), instance.Instance).Val()
	var expires, reported int64
	if _, err := fmt.Sscanf(got, `{"expires_at":%d,"reported_at":%d,`, &expires, &reported); err != nil || expires-reported != 60_000 {
		t.Fatalf("%v in %s", err, got)
	}
	got = strings.Replace(strings.Replace(got, fmt.Sprint(expires), "EXPIRES", 1), fmt.Sprint(reported), "REPORTED", 1)
	want, err := os.ReadFile("testdata/instance.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got+"\n"); diff != "" {
		t.Error(diff)
	}
}

// TestReportsGoAway: those that are over for long are taken away as others report.
func TestReportsGoAway(t *testing.T) {
	_, rdb := testenv.Redis(t)
	for i := range 100 {
		rdb.HSet(t.Context(), view.InstancesKey("payments"), fmt.Sprint("old-", i), `{"expires_at":1,"reported_at":1,"instance":"old"}`)
	}
	testenv.Eventually(t, "only the one that reports is left", func() bool {
		if err := view.ReportInstance(t.Context(), rdb, "payments", instance, time.Minute); err != nil {
			t.Fatal(err)
		}
		return rdb.HLen(t.Context(), view.InstancesKey("payments")).Val() == 1
	})
}

func TestReportLimits(t *testing.T) {
	_, rdb := testenv.Redis(t)
	in := instance
	in.Rejected = &view.Rejected{Why: strings.Repeat("é", 5_000)}
	if err := view.ReportInstance(t.Context(), rdb, "payments", in, time.Minute); err != nil {
		t.Errorf("a long reason is cut: %v", err)
	}
	in.Host = strings.Repeat("h", 5_000)
	for name, bad := range map[string]view.Instance{"long host": in, "no name": {App: "a"}} {
		if err := view.ReportInstance(t.Context(), rdb, "payments", bad, time.Minute); err == nil {
			t.Errorf("%s: was reported", name)
		}
	}
}
