package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReport(t *testing.T) {
	in := `go: downloading something
{"Action":"start","Package":"a"}
{"Action":"output","Package":"a","Test":"TestGood","Output":"=== RUN   TestGood\n"}
{"Action":"output","Package":"a","Test":"TestGood","Output":"    noise\n"}
{"Action":"pass","Package":"a","Test":"TestGood"}
{"Action":"output","Package":"a","Test":"TestBad","Output":"    bad_test.go:7: got 1, want 2\n"}
{"Action":"output","Package":"a","Test":"TestBad","Output":"--- FAIL: TestBad (0.00s)\n"}
{"Action":"fail","Package":"a","Test":"TestBad"}
{"Action":"output","Package":"a","Test":"TestLazy","Output":"--- SKIP: TestLazy (0.00s)\n"}
{"Action":"skip","Package":"a","Test":"TestLazy"}
{"Action":"output","Package":"a","Output":"FAIL\n"}
{"Action":"output","Package":"a","Output":"FAIL\ta\t0.1s\n"}
{"Action":"fail","Package":"a"}
{"Action":"output","Package":"b","Output":"PASS\n"}
{"Action":"output","Package":"b","Output":"ok  \tb\t0.1s\n"}
{"Action":"pass","Package":"b"}
{"Action":"skip","Package":"empty"}
{"Action":"output","Package":"c","Test":"TestPanic","Output":"panic: oh\n"}
{"Action":"fail","Package":"c"}
`
	want := "go: downloading something\n" +
		"    bad_test.go:7: got 1, want 2\n--- FAIL: TestBad (0.00s)\n" +
		"FAIL\nFAIL\ta\t0.1s\n" +
		"ok  \tb\t0.1s\n" +
		"panic: oh\n"
	var out strings.Builder
	failed, skipped, err := report(strings.NewReader(in), &out)
	if err != nil || !failed {
		t.Errorf("got failed %v, error %v; want a failure and no error", failed, err)
	}
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a.TestLazy"}, skipped); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
}

func TestReportOfBuildFailure(t *testing.T) {
	in := `{"ImportPath":"a","Action":"build-output","Output":"a.go:1: no\n"}
{"ImportPath":"a","Action":"build-fail"}
`
	var out strings.Builder
	failed, _, err := report(strings.NewReader(in), &out)
	if err != nil || !failed || out.String() != "a.go:1: no\n" {
		t.Errorf("got failed %v, error %v, output %q", failed, err, out.String())
	}
}
