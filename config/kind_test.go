package config_test

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

func TestCanonical(t *testing.T) {
	for _, tt := range []struct {
		kind     events.Kind
		in, want events.Value
	}{
		{events.Bool, "true", "true"},
		{events.Int, "9223372036854775807", "9223372036854775807"},
		{events.Int, "-9223372036854775808", "-9223372036854775808"},
		{events.Float, "3", "3"},
		{events.Float, "0.25", "0.25"},
		{events.Float, "9007199254740993", "9.007199254740992e+15"},
		{events.String, `"ü"`, `"ü"`},
		{events.Duration, `"1h"`, `"1h"`},
		{events.Duration, `"60m"`, `"1h"`},
		{events.Duration, `"90s"`, `"1m30s"`},
		{events.Duration, `"3605s"`, `"1h5s"`},
		{events.Duration, `"10h0m"`, `"10h"`},
		{events.Duration, `"20m"`, `"20m"`},
		{events.Duration, `"100ms"`, `"100ms"`},
		{events.Duration, `"1500ms"`, `"1.5s"`},
		{events.Duration, `"1µs"`, `"1us"`},
		{events.Duration, `"1us500ns"`, `"1.5us"`},
		{events.Duration, `"0"`, `"0s"`},
		{events.Duration, `"-1.5h"`, `"-1h30m"`},
		{events.Duration, `"\u0031s"`, `"1s"`},
		{events.Size, `"64MiB"`, `"64MiB"`},
		{events.Size, `"65536kib"`, `"64MiB"`},
		{events.Size, "67108864", `"64MiB"`},
		{events.Size, `"67108864"`, `"64MiB"`},
		{events.Size, `"1 kB"`, `"1000B"`},
		{events.Size, `"1000B"`, `"1000B"`},
		{events.Size, `"1GB"`, `"1000000000B"`},
		{events.Size, `"1TB"`, `"976562500KiB"`},
		{events.Size, "0", `"0B"`},
		{events.Size, `"7EiB"`, `"7EiB"`},
		{events.Size, "9223372036854775807", `"9223372036854775807B"`},
		{events.JSON, "null", "null"},
		{events.JSON, `{"a":[1]}`, `{"a":[1]}`},
	} {
		got, err := config.Canonical(tt.kind, tt.in)
		if err != nil || got != tt.want {
			t.Errorf("Canonical(%s, %s): got %s, %v, want %s", tt.kind, tt.in, got, err, tt.want)
		}
		if again, err := config.Canonical(tt.kind, got); err != nil || again != got {
			t.Errorf("Canonical(%s, %s) again: got %s, %v", tt.kind, got, again, err)
		}
	}
}

func TestCanonicalRefuses(t *testing.T) {
	for kind, values := range map[events.Kind][]events.Value{
		events.Bool:     {"", "null", "1", `"true"`, "[]"},
		events.Int:      {"", "null", "9223372036854775808", "-9223372036854775809", "1.5", "9.007199254740992e+15", `"1"`, "true"},
		events.Float:    {"", "null", `"1"`, `"NaN"`, `"Infinity"`, "true", "{}"},
		events.String:   {"", "null", "1", "true", "[]"},
		events.Duration: {"", "null", "5", `""`, `"5"`, `"1d"`, `"1h 5m"`, `"292471208677h"`, "true"},
		events.Size: {
			"", "null", "-1", "1.5", `""`, `"MiB"`, `"-1MiB"`, `"1.5GiB"`, `"8EiB"`, `"10EB"`, `"1MiB1"`, `"1m"`, `"9223372036854775808"`, "true",
		},
		events.JSON:   {""},
		"complicated": {"1"},
	} {
		texts := map[string]bool{} // one for all values, so that none is repeated; another for none
		for _, v := range values {
			got, err := config.Canonical(kind, v)
			if err == nil {
				t.Errorf("Canonical(%s, %s): got %s, want an error", kind, v, got)
				continue
			}
			texts[err.Error()] = true
		}
		if len(texts) > 2 {
			t.Errorf("%s: the errors differ by the value: %v", kind, texts)
		}
	}
}

func TestInfer(t *testing.T) {
	for v, want := range map[events.Value]events.Kind{
		"true": events.Bool, "false": events.Bool, "0": events.Int, "-9223372036854775808": events.Int, "1.5": events.Float,
		"1e-07": events.Float, "9.007199254740992e+15": events.Float, `"5"`: events.String, "null": events.JSON, "[]": events.JSON,
		"{}": events.JSON, "9223372036854775808": events.JSON, // as a float it would lose digits
	} {
		got := config.Infer(v)
		if got != want {
			t.Errorf("Infer(%s): got %s, want %s", v, got, want)
		}
		if canonical, err := config.Canonical(got, v); err != nil || canonical != v {
			t.Errorf("%s is not canonical as %s, which is inferred: %s, %v", v, got, canonical, err)
		}
	}
}

func TestDurationsKeepTheirMeaning(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SampledFrom([]time.Duration{1, time.Microsecond, time.Millisecond, time.Second, time.Minute, time.Hour}).Draw(t, "unit")
		d := time.Duration(rapid.Int64Range(math.MinInt64/int64(unit), math.MaxInt64/int64(unit)).Draw(t, "n")) * unit
		v, err := config.Canonical(events.Duration, events.Value(strconv.Quote(d.String())))
		if err != nil {
			t.Fatal(err)
		}
		if back, err := time.ParseDuration(strings.Trim(string(v), `"`)); err != nil || back != d {
			t.Fatalf("%v is written %s, which reads as %v, %v", d, v, back, err)
		}
		if again, err := config.Canonical(events.Duration, v); err != nil || again != v {
			t.Fatalf("%s is not canonical: %s, %v", v, again, err)
		}
	})
}

func TestSizesKeepTheirMeaning(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shift := rapid.IntRange(0, 6).Draw(t, "unit") * 10
		n := rapid.Int64Range(0, math.MaxInt64>>shift).Draw(t, "n") << shift
		v, err := config.Canonical(events.Size, events.Value(fmt.Sprint(n)))
		if err != nil {
			t.Fatal(err)
		}
		if again, err := config.Canonical(events.Size, v); err != nil || again != v {
			t.Fatalf("%d is written %s, which is not canonical: %s, %v", n, v, again, err)
		}
		var back int64
		var unit string
		if _, err := fmt.Sscanf(strings.Trim(string(v), `"`), "%d%s", &back, &unit); err != nil {
			t.Fatal(err)
		}
		for _, u := range []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"} {
			if u == unit {
				break
			}
			back *= 1024
		}
		if back != n {
			t.Fatalf("%d is written %s, which is %d", n, v, back)
		}
	})
}
