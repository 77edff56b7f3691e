// Package architecture keeps the folders as docs/ARCHITECTURE.md draws them: what may import what.
package architecture

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/holdfast-config/holdfast"

// anything: every package of the module.
var anything = []string{"*"}

// table says which packages there are, and which of the module each may import. A package that is not listed takes the
// row of the folder above it. Tests may import more: see testsMay.
var table = map[string][]string{
	"events":                {},
	"config":                {"events", "internal/pmap"},
	"commands":              {"events", "config"},
	"migrations":            {},
	"eventlog":              {"events", "config", "migrations"},
	"readmodel/view":        {"events"},
	"readmodel":             {"events", "config", "readmodel/view", "internal/pmap", "internal/redisurl", "internal/sse"},
	"readmodel/pgsource":    {"events", "config", "eventlog", "readmodel", "readmodel/view"},
	"readmodel/prom":        {"readmodel"},
	"projections":           {"events", "config", "eventlog", "readmodel/view"},
	"audit":                 {"events", "eventlog"},
	"api":                   {"events", "config", "commands", "eventlog", "projections", "audit", "readmodel", "readmodel/view", "internal/sse"},
	"web":                   {"events", "config", "commands", "eventlog", "projections", "audit", "readmodel", "readmodel/view", "api"},
	"cmd":                   anything,
	"examples":              {"readmodel"},
	"internal/e2e":          anything,
	"internal/pmap":         {},
	"internal/redisurl":     {},
	"internal/sse":          {},
	"internal/document":     {"events", "config", "commands"},
	"internal/architecture": {},
	"internal/daemon":       {"eventlog", "audit", "internal/redisurl"},
	"internal/devservers":   {},
	"internal/testenv":      {"eventlog", "migrations", "internal/devservers"},
}

// testsMay is what tests of any package may import beyond the package's own row.
var testsMay = []string{"internal/testenv", "internal/devservers"}

// onlyIn says where a library may be imported; "tests" are those of any package.
var onlyIn = map[string][]string{
	"github.com/jackc/pgx":          {"eventlog", "migrations", "internal/testenv", "internal/devservers", "cmd", "tests"},
	"github.com/pressly/goose":      {"migrations"},
	"github.com/danielgtaylor/huma": {"api"},
	"github.com/spf13/cobra":        {"cmd"},
	"golang.org/x/mod":              {"audit", "tests"},
	"github.com/prometheus":         {"readmodel/prom"},
	"github.com/alicebob/miniredis": {"internal/devservers"},
	"testing":                       {"internal/testenv", "readmodel/readmodeltest", "tests"},
	module + "/internal/testenv":    {"internal/testenv", "tests"},
	module + "/internal/devservers": {"internal/devservers", "internal/testenv", "cmd/holdfast", "tests"},
	module + "/internal/redisurl":   {"internal/redisurl", "internal/daemon", "readmodel", "cmd", "tests"},
	module + "/internal/daemon":     {"cmd", "tests"},
	module + "/internal/pmap":       {"internal/pmap", "config", "readmodel", "tests"},
}

// pure packages decide and fold: no database, no network, no files, no chance.
var (
	pure      = []string{"events", "config", "commands", "internal/pmap"}
	notInPure = []string{"database", "net", "os", "syscall", "log", "math/rand", "crypto/rand"}
)

func TestImports(t *testing.T) {
	for file, imports := range sources(t) {
		dir, test := path.Dir(file), strings.HasSuffix(file, "_test.go")
		row, listed := above(dir)
		if !listed {
			t.Errorf("%s: package %s is not in the table", file, dir)
			continue
		}
		for _, name := range imports {
			if why := forbidden(dir, row, name, test); why != "" {
				t.Errorf("%s imports %s: %s", file, name, why)
			}
		}
	}
}

// sources returns the imports of each Go file of the module, by its path below the root.
func sources(t *testing.T) map[string][]string {
	root := os.DirFS("../..")
	found := map[string][]string{}
	err := fs.WalkDir(root, ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if _, err := fs.Stat(root, path.Join(file, "go.mod")); err == nil && file != "." {
				return fs.SkipDir // a module of its own
			}
			if base := entry.Name(); file != "." && (base == "testdata" || strings.HasPrefix(base, ".")) {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(file) != ".go" {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join("../..", file), nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		found[file] = nil
		for _, spec := range parsed.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			found[file] = append(found[file], name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found["events/event.go"]) == 0 {
		t.Fatal("events/event.go is not among the sources: this test looks in the wrong place")
	}
	return found
}

// above returns the row of the table for a package: its own, or that of the nearest folder above.
func above(dir string) (row string, listed bool) {
	for ; dir != "."; dir = path.Dir(dir) {
		if _, ok := table[dir]; ok {
			return dir, true
		}
	}
	return "", false
}

// forbidden returns why a file of the package at dir may not import name, "" if it may.
func forbidden(dir, row, name string, test bool) string {
	if own, ok := strings.CutPrefix(name, module+"/"); ok {
		target, _ := above(own)
		allowed := table[row]
		if test {
			allowed = slices.Concat(allowed, testsMay, reach(row))
		}
		if target != row && !slices.Contains(allowed, "*") && !slices.Contains(allowed, target) {
			return "the table does not allow it"
		}
	}
	for library, places := range onlyIn {
		if within(name, library) && !(test && slices.Contains(places, "tests")) && !anyAbove(dir, places) {
			return "only " + strings.Join(places, ", ") + " may"
		}
	}
	if slices.Contains(pure, row) && !test && slices.ContainsFunc(notInPure, func(p string) bool { return within(name, p) }) {
		return row + " is pure"
	}
	return ""
}

// within reports whether name is library or below it; a major version belongs to the library.
func within(name, library string) bool {
	return name == library || strings.HasPrefix(name, library+"/")
}

func anyAbove(dir string, places []string) bool {
	return slices.ContainsFunc(places, func(p string) bool { return within(dir, p) })
}

// reach returns what row may import, and what those may, and so on: a test may build what its package is handed.
func reach(row string) []string {
	var all []string
	for _, next := range table[row] {
		if !slices.Contains(all, next) {
			all = append(all, next)
			all = append(all, reach(next)...)
		}
	}
	return all
}
