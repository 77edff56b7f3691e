package events_test

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/holdfast-config/holdfast/events"
)

func TestParseValue(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"true", "true"}, {" null\n", "null"}, {"0", "0"}, {"-0", "0"}, {"-0.0", "0"}, {"17", "17"}, {"\t-17 ", "-17"},
		{"9223372036854775807", "9223372036854775807"},
		{"9223372036854775808", "9223372036854775808"},
		{"1.0", "1"}, {"1e3", "1000"}, {"2.50", "2.5"}, {"1E-3", "0.001"}, {"1e-7", "1e-07"},
		{"9007199254740991.0", "9007199254740991"},
		{"9007199254740992.0", "9.007199254740992e+15"}, // not exact any more: must not pass for an int
		{`""`, `""`}, {`"a b"`, `"a b"`}, {`"\u0041\/"`, `"A/"`}, {`"<&>"`, `"<&>"`}, {`"\u00fc"`, `"ü"`},
		{`"\ud83d\ude00"`, `"😀"`}, {`"\u0000\t"`, `"\u0000\t"`}, {`"\\ud800"`, `"\\ud800"`},
		{"[]", "[]"}, {"[ 1 , [ ] ]", "[1,[]]"}, {"{}", "{}"}, {`{"b":1,"a":{"d":2,"c":[]}}`, `{"a":{"c":[],"d":2},"b":1}`},
	} {
		got, err := events.ParseValue([]byte(tt.in))
		if err != nil || string(got) != tt.want {
			t.Errorf("ParseValue(%s): got %s, %v, want %s", tt.in, got, err, tt.want)
		}
	}
}

func TestParseValueRefuses(t *testing.T) {
	deep := strings.Repeat("[", events.MaxValueDepth+1) + strings.Repeat("]", events.MaxValueDepth+1)
	for _, tt := range []struct{ in, want string }{
		{"", "value is not JSON: it ends too early"},
		{"  ", "value is not JSON: it ends too early"},
		{`"open`, "value is not JSON: it ends too early"},
		{"[1,", "value is not JSON: it ends too early"},
		{"[1,]", "value is not JSON at byte"},
		{"{1:2}", "value is not JSON at byte"},
		{`{"a":1,}`, "value is not JSON at byte"},
		{"[1 2]", "value is not JSON at byte"},
		{"1 2", "value goes on after its end"},
		{"{} x", "value goes on after its end"},
		{"--5", "value is not JSON at byte"}, {"-", "value is not JSON"}, {"05", "value"}, {"-05", "value"}, {"+5", "value is not JSON"},
		{"1.", "value is not JSON"}, {".5", "value is not JSON"}, {"NaN", "value is not JSON"}, {"truex", "value"}, {"'a'", "value is not JSON"},
		{"1e999", "value has a number out of the range of a float64"},
		{strings.Repeat("9", 400), "value has a number out of the range of a float64"},
		{`"\ud800"`, "value has an unpaired surrogate escape at byte 1"},
		{`"\ud800\u0041"`, "value has an unpaired surrogate escape at byte 1"},
		{`"\udc00"`, "value has an unpaired surrogate escape at byte 1"},
		{"\"\xff\"", "value is not valid UTF-8"},
		{"\"a\nb\"", "value is not JSON at byte"},
		{`{"a":1,"a":2}`, "value has an object with the same member twice"},
		{`{"a":1,"\u0061":2}`, "value has an object with the same member twice"},
		{deep, "value is nested deeper than 64"},
		{`"` + strings.Repeat("x", events.MaxValueBytes) + `"`, "value is 262146 bytes, more than 262144"},
		{strings.Repeat(" ", 2*events.MaxValueBytes) + "1", "value is 524289 bytes, more than 262144"},
	} {
		got, err := events.ParseValue([]byte(tt.in))
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("ParseValue(%.40s): got %.40s, %v, want the error %s", tt.in, got, err, tt.want)
		}
		var limit *events.LimitError
		if isLimit := strings.Contains(tt.want, "more than") || strings.Contains(tt.want, "deeper"); errors.As(err, &limit) != isLimit {
			t.Errorf("ParseValue(%.40s): %v: is a LimitError: %v, want %v", tt.in, err, !isLimit, isLimit)
		}
	}
}

func TestParseValueTakesTheLimits(t *testing.T) {
	for _, in := range []string{
		strings.Repeat("[", events.MaxValueDepth) + strings.Repeat("]", events.MaxValueDepth),
		`"` + strings.Repeat("x", events.MaxValueBytes-2) + `"`,
		`"` + strings.Repeat("ü", events.MaxValueBytes/2-1) + `"`,
		strings.Repeat("9", 305),
	} {
		if _, err := events.ParseValue([]byte(in)); err != nil {
			t.Errorf("ParseValue of %d bytes: %v", len(in), err)
		}
	}
}

// checkCanonical holds whatever ParseValue returns against what it promises.
func checkCanonical(t interface {
	Helper()
	Fatalf(string, ...any)
}, in []byte) {
	t.Helper()
	v, err := events.ParseValue(in)
	if err != nil {
		if len(err.Error()) > 200 {
			t.Fatalf("error text of %d bytes: it repeats the value", len(err.Error()))
		}
		return
	}
	if !json.Valid(in) {
		t.Fatalf("took %q, which is not JSON", in)
	}
	again, err := events.ParseValue([]byte(v))
	if err != nil || again != v {
		t.Fatalf("canonical %q of %q parses as %q, %v", v, in, again, err)
	}
	if spaced, err := events.ParseValue([]byte(" " + string(v) + "\n")); err != nil || spaced != v { // past the fast path
		t.Fatalf("%q with white space parses as %q, %v", v, spaced, err)
	}
	var was, is any
	if json.Unmarshal(in, &was) == nil && json.Unmarshal([]byte(v), &is) == nil && !same(was, is) {
		t.Fatalf("canonical %q of %q means something else", v, in)
	}
}

func same(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && strings.ReplaceAll(string(x), "-0", "0") == strings.ReplaceAll(string(y), "-0", "0")
}

func FuzzParseValue(f *testing.F) {
	for _, seed := range []string{
		"1", "-0", "1.5e3", `"a"`, `"\ud83d\ude00"`, `"\\\ud800"`, `{"b":[1,{"a":null}],"a":1e400}`, "[[[", `{"a":1,"a":2}`, "--1", "01", "\"\x7f\"",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) { checkCanonical(t, in) })
}

// anyValue draws what json.Marshal can write.
func anyValue(depth int) *rapid.Generator[any] {
	scalars := []*rapid.Generator[any]{
		rapid.Bool().AsAny(), rapid.Int64().AsAny(), rapid.Float64().AsAny(), rapid.String().AsAny(), rapid.Just[any](nil),
	}
	if depth == 0 {
		return rapid.OneOf(scalars...)
	}
	return rapid.OneOf(append(scalars,
		rapid.SliceOfN(anyValue(depth-1), 0, 4).AsAny(),
		rapid.MapOfN(rapid.String(), anyValue(depth-1), 0, 4).AsAny())...)
}

func TestParseValueIsCanonical(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, err := json.Marshal(anyValue(3).Draw(t, "value"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := events.ParseValue(in); err != nil {
			t.Fatalf("refused %s: %v", in, err)
		}
		checkCanonical(t, in)
	})
}

func TestFloatValueIsCanonical(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.Float64().Filter(func(f float64) bool { return !math.IsInf(f, 0) }).Draw(t, "f")
		v := events.FloatValue(f)
		parsed, err := events.ParseValue([]byte(v))
		if err != nil || parsed != v {
			t.Fatalf("FloatValue(%v) is %s, which parses as %s, %v", f, v, parsed, err)
		}
		if back, err := strconv.ParseFloat(string(v), 64); err != nil || back != f {
			t.Fatalf("FloatValue(%v) is %s, which reads as %v, %v", f, v, back, err)
		}
	})
}

func TestValueAsJSON(t *testing.T) {
	type holder struct {
		V events.Value `json:"v,omitzero"`
	}
	var h holder
	if err := json.Unmarshal([]byte(`{"v": {"b": 1.0, "a": null}}`), &h); err != nil || h.V != `{"a":null,"b":1}` {
		t.Errorf("unmarshal: got %s, %v", h.V, err)
	}
	if out, err := json.Marshal(h); err != nil || string(out) != `{"v":{"a":null,"b":1}}` {
		t.Errorf("marshal: got %s, %v", out, err)
	}
	if out, err := json.Marshal(holder{}); err != nil || string(out) != `{}` {
		t.Errorf("marshal of no value: got %s, %v", out, err)
	}
	if err := json.Unmarshal([]byte(`{"v": {"a": 1, "a": 2}}`), &h); err == nil {
		t.Error("unmarshal took a member twice")
	}
}

func BenchmarkParseValue(b *testing.B) {
	for name, in := range map[string]string{
		"int": "8192", "bool": "true", "string": `"https://pay.example.com/v1"`, "float": "0.25", "object": `{"b":[1,2,3],"a":"x"}`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := events.ParseValue([]byte(in)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
