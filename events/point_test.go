package events_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-config/holdfast/events"
)

func TestParsePoint(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want events.Point
	}{
		{"41", events.Point{Revision: 41}},
		{"@345", events.Point{Position: 345}},
		{"2026-11-20T10:00:00Z", events.Point{Time: time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)}},
		{"2026-11-20T10:00:00.5+02:00", events.Point{Time: time.Date(2026, 11, 20, 8, 0, 0, 5e8, time.UTC)}},
		{"2026-11-20", events.Point{Time: time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)}},
		{"before-sale", events.Point{Tag: "before-sale"}},
		{"V1.2_3", events.Point{Tag: "V1.2_3"}},
	} {
		got, err := events.ParsePoint(tt.in)
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.in, diff)
		}
		if again, err := events.ParsePoint(got.String()); err != nil || again != got {
			t.Errorf("%s: written as %s, which is %+v, %v", tt.in, got, again, err)
		}
	}
}

func TestParsePointRefuses(t *testing.T) {
	const what = "is not a revision (41), @position (@345), time (2026-11-20T10:00:00Z) or tag"
	for in, want := range map[string]string{
		"":                     "is empty; a point is a revision, @position, a time or a tag",
		"0":                    what,
		"+1":                   what,
		"@":                    what,
		"@0":                   what,
		"@-1":                  what,
		"1.5":                  what,
		"99999999999999999999": what,
		"-1":                   "is not a time (2026-11-20T10:00:00Z) or date (2026-11-20) of RFC 3339",
		"2026-13-01":           "is not a time (2026-11-20T10:00:00Z) or date (2026-11-20) of RFC 3339",
		"2026-11-20 10:00":     "is not a time (2026-11-20T10:00:00Z) or date (2026-11-20) of RFC 3339",
		"before sale":          `tag "before sale": ' ' is not one of A-Z, a-z, 0-9, '.', '_' and '-' at byte 6, after "before"`,
	} {
		if got, err := events.ParsePoint(in); fmt.Sprint(err) != want {
			t.Errorf("%q: got %+v, %v; want %s", in, got, err, want)
		}
	}
}

func ExampleParsePoint() {
	for _, s := range []string{"41", "@345", "2026-11-20", "before-sale"} {
		p, err := events.ParsePoint(s)
		fmt.Println(p, err)
	}
	// Output:
	// 41 <nil>
	// @345 <nil>
	// 2026-11-20T00:00:00Z <nil>
	// before-sale <nil>
}
