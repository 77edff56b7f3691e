package readmodel_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-config/holdfast/readmodel"
	"github.com/holdfast-config/holdfast/readmodel/readmodeltest"
)

type httpConfig struct {
	Timeout time.Duration `holdfast:"http.timeout,min=1s,default=5s"`
	MaxBody int64         `holdfast:"http.max_body,size,default=1MiB"`
	Mode    string        `holdfast:"mode,oneof=safe|fast,default=safe"`
	Workers int8          `holdfast:"workers,min=1,max=64,default=8"`
	Ratio   float32       `holdfast:"ratio,max=1"`
	On      bool          `holdfast:"on,default=true"`
	Limits  struct {
		Burst int
		Names []string
	} `holdfast:"limits,default={\"burst\":3,\"names\":[\"a,b\"]}"`
	Pool struct {
		Left int `holdfast:"left"`
	}
	Own string
	//lint:ignore U1000 a field that Bind must leave alone
	hidden int
	Skip   int `holdfast:"-"`
}

func TestBind(t *testing.T) {
	t.Parallel()
	r := readmodeltest.New(t, left.Value(1))
	h, err := readmodel.Bind[httpConfig](r.Reader)
	if err != nil {
		t.Fatal(err)
	}
	want := httpConfig{Timeout: 5 * time.Second, MaxBody: 1 << 20, Mode: "safe", Workers: 8, On: true}
	want.Limits.Burst, want.Limits.Names, want.Pool.Left = 3, []string{"a,b"}, 1
	compare := func(what string, got *httpConfig) {
		t.Helper()
		if diff := cmp.Diff(want, *got, cmp.AllowUnexported(httpConfig{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	compare("defaults", h.Load())
	before, first := h.Load(), r.Snapshot()

	r.Set(readmodeltest.Raw("http.timeout", `"2s"`), readmodeltest.Raw("http.max_body", `"2MiB"`), readmodeltest.Raw("mode", `"fast"`),
		readmodeltest.Raw("workers", "64"), readmodeltest.Raw("ratio", "0.5"), readmodeltest.Raw("on", "false"),
		readmodeltest.Raw("limits", `{"burst":4}`), left.Value(2))
	if before.Workers != 8 {
		t.Error("a struct that was loaded has changed")
	}
	want = httpConfig{Timeout: 2 * time.Second, MaxBody: 2 << 20, Mode: "fast", Workers: 64, Ratio: 0.5}
	want.Limits.Burst, want.Pool.Left = 4, 2
	compare("set", h.Load())

	now := h.Load()
	r.Set(right.Value(1))
	if h.Load() != now {
		t.Error("made anew although no field has changed")
	}
	for _, raw := range []readmodel.Setting{
		readmodeltest.Raw("http.timeout", `"999ms"`), readmodeltest.Raw("http.max_body", `"2MB"`), readmodeltest.Raw("mode", `"slow"`),
		readmodeltest.Raw("workers", "65"), readmodeltest.Raw("workers", "0"), readmodeltest.Raw("workers", "1000"),
		readmodeltest.Raw("ratio", "1.5"), readmodeltest.Raw("ratio", "1e300"), readmodeltest.Raw("on", "1"),
		readmodeltest.Raw("limits", `{"burst":"hunter2"}`), readmodeltest.Raw("left", "null"),
	} {
		r.Set(raw)
		compare(string(raw.Key)+" refused", h.Load())
	}
	if n := len(r.Status().Refused); n != 8 {
		t.Errorf("%d keys refused: %+v", n, r.Status().Refused)
	}
	want = *before
	compare("at the first snapshot", h.At(first))
	want.Pool.Left = 0
	compare("at nothing", h.At(nil))
}

func TestBindRefuses(t *testing.T) {
	t.Parallel()
	r := readmodeltest.Open(t, readmodel.Config{Mismatch: readmodel.Refuse}, left.Value(1)).Reader
	bind := func(err error, want ...string) {
		t.Helper()
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("got %v, want something with %q", err, w)
			}
		}
	}
	_, err := readmodel.Bind[int](r)
	bind(err, "not a struct")
	_, err = readmodel.Bind[struct {
		A int    `holdfast:"a b"`
		b int    `holdfast:"b"`
		C int    `holdfast:"c,default=x"`
		D int    `holdfast:"d,min=x"`
		E string `holdfast:"e,min=1"`
		F int    `holdfast:"f,mx=1"`
		G int    `holdfast:"g,min=5,default=4"`
		H int    `holdfast:"h,min=5"`
		I bool   `holdfast:"i,oneof=true|x"`
		J []int  `holdfast:"j,oneof=1"`
		K string `holdfast:"k,size"`
	}](r)
	bind(err, "field A: ", "field b: it has a tag, but is not exported", "field C: default=x: value is not an int", "field D: min=x",
		"field E: min is for numbers", `field F: "mx=1" is not one of`, "field G: the default is refused: value is less than 5",
		"field H: the default is refused", `field I: oneof: "x"`, "field J: oneof is not for a []int", `field K: "size" is not`)
	_, err = readmodel.Bind[struct {
		Left int `holdfast:"left"`
		None int `holdfast:"none"`
	}](r)
	bind(err, `key "none" has neither a value nor a default in test`)
	if !errors.Is(err, readmodel.ErrMismatch) || strings.Contains(err.Error(), `"left"`) {
		t.Errorf("got %v", err)
	}
}

func TestMismatch(t *testing.T) {
	t.Parallel()
	keys := []readmodel.Declared{
		left, readmodel.Bool("left", false), readmodel.Float("left", 0), readmodel.JSON("left", 0), readmodel.String("unknown", ""),
	}
	var log lines
	logger := slog.New(slog.NewTextHandler(&log, nil))
	readmodeltest.Open(t, readmodel.Config{Keys: keys, Mismatch: readmodel.Ignore, Logger: logger}, left.Value(1))
	if n := log.count("does not fit"); n != 0 {
		t.Errorf("%d warnings", n)
	}
	r := readmodeltest.Open(t, readmodel.Config{Keys: keys, Logger: logger}, left.Value(1))
	if log.count("does not fit") != 2 || log.count("is of kind int in test, declared as bool") != 1 {
		t.Errorf("got %s", &log.text)
	}
	if st := r.Status(); len(st.Refused) != 1 || st.Refused[0].Key != "left" {
		t.Errorf("keys given to Open are decoded at once: %+v", st.Refused)
	}
	_, err := readmodel.Open(t.Context(), string(ns), readmodel.Config{Source: fixed{}, Keys: keys, Mismatch: readmodel.Refuse, Logger: logger})
	if !errors.Is(err, readmodel.ErrMismatch) || !strings.Contains(err.Error(), "open payments.prod") {
		t.Errorf("got %v", err)
	}
}
