package events_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/holdfast-config/holdfast/events"
)

func TestParseNamespace(t *testing.T) {
	for _, ok := range []string{
		"a", "0", "payments", "payments.prod.eu", "a-b.c--d", strings.Repeat("a.", 7) + "a", strings.Repeat("x", events.MaxNamespaceBytes),
	} {
		if got, err := events.ParseNamespace(ok); err != nil || string(got) != ok {
			t.Errorf("ParseNamespace(%q): got %q, %v", ok, got, err)
		}
	}
	for _, tt := range []struct{ in, want string }{
		{"", `namespace: is empty`},
		{".", `namespace ".": a label is empty at byte 0`},
		{"a..b", `namespace "a..b": a label is empty at byte 2, after "a."`},
		{"a.", `namespace "a.": a label is empty at byte 2, after "a."`},
		{"-a", `namespace "-a": a label starts with '-' at byte 0`},
		{"a.b-", `namespace "a.b-": a label ends with '-' at byte 3, after "a.b"`},
		{"a-.b", `namespace "a-.b": a label ends with '-' at byte 1, after "a"`},
		{"Pay", `namespace "Pay": 'P' is not one of a-z, 0-9, '-' and '.' at byte 0`},
		{"a/b", `namespace "a/b": '/' is not one of a-z, 0-9, '-' and '.' at byte 1, after "a"`},
		{"a%2e", `namespace "a%2e": '%' is not one of a-z, 0-9, '-' and '.' at byte 1, after "a"`},
		{"a\x00", `namespace "a\x00": '\x00' is not one of a-z, 0-9, '-' and '.' at byte 1, after "a"`},
		{"grüße", `namespace "grüße": 'ü' is not one of a-z, 0-9, '-' and '.' at byte 2, after "gr"`},
		{"a_b", `namespace "a_b": '_' is not one of a-z, 0-9, '-' and '.' at byte 1, after "a"`},
		{strings.Repeat("a.", 8) + "a", `namespace "a.a.a.a.a.a.a.a.a": has 9 labels, more than 8, at byte 17, after "a.a.a.a.a.a.a.a.a"`},
	} {
		_, err := events.ParseNamespace(tt.in)
		var name *events.NameError
		if !errors.As(err, &name) || err.Error() != tt.want {
			t.Errorf("ParseNamespace(%q):\n got %v\nwant %s", tt.in, err, tt.want)
		}
	}
}

func TestParseKey(t *testing.T) {
	for _, ok := range []string{"a", "A", "_", "-", "db.max_conns", "Server-Name.0", strings.Repeat("x", events.MaxKeyBytes)} {
		if got, err := events.ParseKey(ok); err != nil || string(got) != ok {
			t.Errorf("ParseKey(%q): got %q, %v", ok, got, err)
		}
	}
	for _, tt := range []struct{ in, want string }{
		{"", `key: is empty`},
		{"a..b", `key "a..b": a part is empty at byte 2, after "a."`},
		{"..", `key "..": a part is empty at byte 0`},
		{"a.", `key "a.": a part is empty at byte 2, after "a."`},
		{"a b", `key "a b": ' ' is not one of A-Z, a-z, 0-9, '_', '-' and '.' at byte 1, after "a"`},
		{"../etc", `key "../etc": a part is empty at byte 0`},
		{"a\xff", `key "a\xff": '�' is not one of A-Z, a-z, 0-9, '_', '-' and '.' at byte 1, after "a"`},
		{
			strings.Repeat("x", 300),
			`key "` + strings.Repeat("x", 64) + `": is 300 bytes, more than 256, at byte 256, after "` + strings.Repeat("x", 32) + `"`,
		},
	} {
		_, err := events.ParseKey(tt.in)
		var name *events.NameError
		if !errors.As(err, &name) || err.Error() != tt.want {
			t.Errorf("ParseKey(%q):\n got %v\nwant %s", tt.in, err, tt.want)
		}
	}
}

func FuzzParseNamespace(f *testing.F) {
	pattern := regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?){0,7}$`)
	for _, seed := range []string{"a", "a.b", "a-.b", "-", "", "a..b", "é", strings.Repeat("a", 129), "a\n", "a.b.c.d.e.f.g.h.i"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, err := events.ParseNamespace(s)
		checkName(t, s, err, pattern.MatchString(s) && len(s) <= events.MaxNamespaceBytes && !strings.HasSuffix(s, "\n"))
	})
}

func FuzzParseKey(f *testing.F) {
	pattern := regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)
	for _, seed := range []string{"a", "A.b_-", ".", "", "a..b", "é", strings.Repeat("a", 257), "a\n", "a/b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, err := events.ParseKey(s)
		checkName(t, s, err, pattern.MatchString(s) && len(s) <= events.MaxKeyBytes && !strings.HasSuffix(s, "\n"))
	})
}

func checkName(t *testing.T, s string, err error, want bool) {
	if (err == nil) != want {
		t.Fatalf("%q: got %v, want it taken: %v", s, err, want)
	}
	if err != nil && (len(err.Error()) > 1200 || !utf8.ValidString(err.Error())) {
		t.Fatalf("%q: error text of %d bytes", s, len(err.Error()))
	}
}

func TestAncestry(t *testing.T) {
	if parent, ok := events.Namespace("a.b.c").Parent(); !ok || parent != "a.b" {
		t.Errorf("parent of a.b.c: got %q, %v", parent, ok)
	}
	if _, ok := events.Namespace("a").Parent(); ok {
		t.Error("a has a parent")
	}
	if root := events.Namespace("a.b.c").Root(); root != "a" {
		t.Errorf("root of a.b.c: got %q", root)
	}
	for _, tt := range []struct {
		above, below events.Namespace
		want         bool
	}{{"a", "a.b", true}, {"a", "a.b.c", true}, {"a", "a", false}, {"a", "ab", false}, {"a", "ab.c", false}, {"a.b", "a", false}} {
		if got := tt.above.Above(tt.below); got != tt.want {
			t.Errorf("%s above %s: got %v", tt.above, tt.below, got)
		}
	}
}

func TestParseTag(t *testing.T) {
	for _, ok := range []string{"a", "Z", "before-sale", "v1.2_3", strings.Repeat("x", events.MaxTagBytes)} {
		if got, err := events.ParseTag(ok); err != nil || string(got) != ok {
			t.Errorf("ParseTag(%q): got %q, %v", ok, got, err)
		}
	}
	for _, tt := range []struct{ in, want string }{
		{"", `tag: is empty`},
		{"41", `tag "41": does not begin with a letter, at byte 0`},
		{"2026-11-20", `tag "2026-11-20": does not begin with a letter, at byte 0`},
		{"a/b", `tag "a/b": '/' is not one of A-Z, a-z, 0-9, '.', '_' and '-' at byte 1, after "a"`},
		{strings.Repeat("x", 129), `tag "` + strings.Repeat("x", 33) + `": is 129 bytes, more than 128, at byte 128, after "` + strings.Repeat("x", 32) + `"`},
	} {
		_, err := events.ParseTag(tt.in)
		var name *events.NameError
		if !errors.As(err, &name) || err.Error() != tt.want {
			t.Errorf("ParseTag(%q):\n got %v\nwant %s", tt.in, err, tt.want)
		}
	}
}
