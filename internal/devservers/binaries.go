package devservers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// binaries returns the directory of the Postgres binaries for the cluster at data: of its version if there is one, else
// the first that is found on the machine, else downloaded ones.
func binaries(ctx context.Context, data string, log *slog.Logger) (string, error) {
	need := ""
	if version, err := os.ReadFile(filepath.Join(data, "PG_VERSION")); err == nil {
		need = strings.TrimSpace(string(version))
	}
	var found []string
	for _, dir := range binaryDirs(ctx) {
		version, err := binaryVersion(ctx, dir)
		if err != nil {
			continue
		}
		if need == "" || need == major(version) {
			return dir, nil
		}
		found = append(found, version)
	}
	if need != "" && need != major(string(downloaded)) {
		return "", fmt.Errorf("the data in %s was made by postgres %s, and here is %s: install postgres %s, or move the data away",
			data, need, cmp.Or(strings.Join(found, ", "), "none"), need)
	}
	return download(ctx, log)
}

// binaryDirs returns the directories where Postgres may be, the best first: what the user put on the path, then what
// package managers install, the newest version first.
func binaryDirs(ctx context.Context) []string {
	var dirs []string
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil { // one directory has them all
			dirs = append(dirs, filepath.Dir(path))
		}
	}
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",
		"/usr/pgsql-*/bin",
		"/opt/homebrew/opt/postgresql*/bin",
		"/usr/local/opt/postgresql*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	} {
		matches, _ := filepath.Glob(pattern)
		slices.SortStableFunc(matches, func(a, b string) int { return numberIn(b) - numberIn(a) })
		dirs = append(dirs, matches...)
	}
	return dirs
}

// numberIn returns the version number in a path, 0 if there is none.
func numberIn(path string) int {
	digits := strings.FieldsFunc(path, func(r rune) bool { return r < '0' || r > '9' })
	if len(digits) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(digits[0])
	return n
}

// binaryVersion returns the version, "15.18", of a directory that has both programs, and not scripts around them: such
// scripts may change the user, or need a home directory.
func binaryVersion(ctx context.Context, dir string) (string, error) {
	version := ""
	for _, name := range []string{"initdb", "postgres"} {
		path := filepath.Join(dir, name)
		if isScript(path) {
			return "", fmt.Errorf("%s is a script", path)
		}
		out, err := exec.CommandContext(ctx, path, "--version").Output() // "postgres (PostgreSQL) 15.18 (Debian …)"
		if err != nil {
			return "", err
		}
		_, rest, _ := strings.Cut(string(out), ") ")
		fields := strings.Fields(rest)
		if len(fields) == 0 || version != "" && version != fields[0] {
			return "", errors.New("not one set of programs")
		}
		version = fields[0]
	}
	return version, nil
}

func isScript(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	start := make([]byte, 2)
	n, _ := f.Read(start)
	return string(start[:n]) == "#!"
}

// major returns "15" of "15.18", "18" of "18beta1".
func major(version string) string {
	if end := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		return version[:end]
	}
	return version
}
