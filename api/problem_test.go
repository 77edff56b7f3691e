package api

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-config/holdfast/commands"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
)

// notOfRequests are the errors that only those meet who follow the log, seal it, or own it.
var notOfRequests = map[string]bool{
	eventlog.ErrEpochChanged.Error(): true, eventlog.ErrBeyondHead.Error(): true, eventlog.ErrLockLost.Error(): true,
	eventlog.ErrSealedMeanwhile.Error(): true, eventlog.ErrClockBehind.Error(): true, eventlog.ErrEpochUnknown.Error(): true,
}

// TestKinds walks the table from both ends: every problem type that is declared is in it once, and every sentinel that
// events, commands and eventlog declare is answered with a kind of its own.
func TestKinds(t *testing.T) {
	rows := map[string]kind{}
	sentinels := map[error]string{}
	for _, k := range kinds {
		if _, twice := rows[k.typ]; twice {
			t.Errorf("%s is in the table twice", k.typ)
		}
		rows[k.typ] = k
		if k.title == "" || http.StatusText(k.status) == "" || k.status < 400 {
			t.Errorf("%s: title %q, status %d", k.typ, k.title, k.status)
		}
		if k.err == nil {
			continue
		}
		if other, twice := sentinels[k.err]; twice {
			t.Errorf("%q is answered with %s and %s", k.err, other, k.typ)
		}
		sentinels[k.err] = k.typ
		p := problemOf(fmt.Errorf("deep: %w", k.err))
		if p.Type != k.typ || p.Status != k.status || p.Title != k.title || p.retryAfter != k.retryAfter {
			t.Errorf("%q is answered as %+v", k.err, p)
		}
	}
	declared := 0
	for _, typ := range constants(t, ".", "Problem") {
		declared++
		if _, ok := rows[problemPrefix+typ]; !ok {
			t.Errorf("problem type %s is not in the table", typ)
		}
	}
	if declared != len(kinds) {
		t.Errorf("%d problem types are declared, %d are in the table", declared, len(kinds))
	}
	texts := map[string]bool{}
	for err := range sentinels {
		texts[err.Error()] = true
	}
	for _, dir := range []string{"../events", "../commands", "../eventlog"} {
		for _, text := range sentinelTexts(t, dir) {
			if !texts[text] && !notOfRequests[text] {
				t.Errorf("%s: error %q is not in the table", dir, text)
			}
		}
	}
}

// constants returns the last part of the values of the string constants in dir whose names start with prefix.
func constants(t *testing.T, dir, prefix string) (values []string) {
	t.Helper()
	eachSpec(t, dir, func(name string, value ast.Expr) {
		if sum, ok := value.(*ast.BinaryExpr); ok && strings.HasPrefix(name, prefix) {
			values = append(values, unquote(t, sum.Y))
		}
	})
	return values
}

// sentinelTexts returns the texts of the exported errors.New variables in dir.
func sentinelTexts(t *testing.T, dir string) (texts []string) {
	t.Helper()
	eachSpec(t, dir, func(name string, value ast.Expr) {
		if call, ok := value.(*ast.CallExpr); ok && strings.HasPrefix(name, "Err") && len(call.Args) == 1 {
			texts = append(texts, unquote(t, call.Args[0]))
		}
	})
	if len(texts) == 0 {
		t.Fatalf("no sentinels in %s", dir)
	}
	return texts
}

func eachSpec(t *testing.T, dir string, do func(name string, value ast.Expr)) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
				do(spec.Names[0].Name, spec.Values[0])
			}
			return true
		})
	}
}

func unquote(t *testing.T, e ast.Expr) string {
	t.Helper()
	lit, ok := e.(*ast.BasicLit)
	if !ok {
		t.Fatalf("%T where a string literal was expected", e)
	}
	s, err := strconv.Unquote(lit.Value)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestUnmapped: what the table lacks is an internal error that says nothing of its cause, but keeps it for the log.
func TestUnmapped(t *testing.T) {
	cause := errors.New("secret in a driver's text")
	p := problemOf(cause)
	if p.Status != http.StatusInternalServerError || p.Type != ProblemInternal || strings.Contains(p.Detail, "secret") {
		t.Errorf("got %+v", p)
	}
	if p.cause != cause {
		t.Errorf("got cause %v", p.cause)
	}
}

func TestRefusal(t *testing.T) {
	refused := &commands.Refused{Namespace: "a", Problems: []commands.Problem{
		{Command: 2, Field: "expect.revision", Do: "set", Key: "k", Err: commands.ErrConflict, Detail: "expected revision 4, is 6"},
		{Command: 0, Field: "definition", Key: "l", Err: commands.ErrInvalidDefinition, Detail: "two values violate it",
			Violations: []commands.Violation{{Namespace: "a.b", Key: "l", Detail: "over max"}}},
		{Command: -1, Field: "reason", Err: commands.ErrLimit, Detail: "too long"},
		{Command: -1, Err: commands.ErrMalformed, Detail: "no JSON"},
	}}
	got := problemOf(fmt.Errorf("append: %w", refused))
	want := &Problem{
		Type: ProblemConflict, Title: "An expectation does not hold", Status: 409,
		Detail: "set a/k: expected revision 4, is 6; and 3 more, see errors",
		Errors: []ProblemError{
			{Type: ProblemConflict, Pointer: "/commands/2/expect/revision", Detail: "expected revision 4, is 6", Key: "k"},
			{Type: ProblemInvalidDefinition, Pointer: "/commands/0/definition", Detail: "two values violate it", Key: "l",
				Violations: []Violation{{Namespace: "a.b", Key: "l", Detail: "over max"}}},
			{Type: ProblemOverLimit, Pointer: "/reason", Detail: "too long"},
			{Type: ProblemMalformed, Detail: "no JSON"},
		},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Problem{})); diff != "" {
		t.Error(diff)
	}
}

// TestFromHuma: huma's own errors carry the offending input along; ours do not.
func TestFromHuma(t *testing.T) {
	p := fromHuma(422, "validation failed", &huma.ErrorDetail{Location: "query.limit", Message: "invalid integer", Value: "hunter2"}).(*Problem)
	want := &Problem{
		Type: ProblemBadParameter, Title: "A parameter or header is not as it should be", Status: 400, Detail: "query.limit: invalid integer",
		Errors: []ProblemError{{Type: ProblemBadParameter, Parameter: "query.limit", Detail: "invalid integer"}},
	}
	if diff := cmp.Diff(want, p, cmp.AllowUnexported(Problem{})); diff != "" {
		t.Error(diff)
	}
	for status, typ := range map[int]string{400: ProblemMalformed, 408: ProblemRequestTimeout, 413: ProblemOverLimit, 500: ProblemMalformed} {
		if got := fromHuma(status, "", errors.New("hunter2")).(*Problem); got.Type != typ || strings.Contains(got.Detail, "hunter2") {
			t.Errorf("%d: got %+v, want %s", status, got, typ)
		}
	}
}

func TestPrecondition(t *testing.T) {
	for _, c := range []struct {
		match, noneMatch string
		want             events.Position // -1: nothing expected; -2: refused
	}{
		{"", "", -1}, {`"12"`, "", 12}, {"", "*", 0},
		{"*", "", -2}, {`W/"12"`, "", -2}, {"12", "", -2}, {`"012"`, "", -2}, {`"0"`, "", -2}, {`"-1"`, "", -2},
		{`"1", "2"`, "", -2}, {`"`, "", -2}, {`'12'`, "", -2}, {"", `"12"`, -2}, {`"12"`, "*", -2},
	} {
		expect, err := precondition(c.match, c.noneMatch)
		got := events.Position(-1)
		switch {
		case err != nil:
			got = -2
		case expect.Position != nil:
			got = *expect.Position
		}
		if got != c.want {
			t.Errorf("If-Match %s, If-None-Match %s: got %d, want %d", c.match, c.noneMatch, got, c.want)
		}
	}
}
