package devservers

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMajor(t *testing.T) {
	for version, want := range map[string]string{"15.18": "15", "18": "18", "18beta1": "18", "": ""} {
		if got := major(version); got != want {
			t.Errorf("%q: got %q, want %q", version, got, want)
		}
	}
}

func TestNumberIn(t *testing.T) {
	for path, want := range map[string]int{"/usr/lib/postgresql/9/bin": 9, "/opt/homebrew/opt/postgresql@18/bin": 18, "/usr/local/opt/postgresql/bin": 0} {
		if got := numberIn(path); got != want {
			t.Errorf("%s: got %d, want %d", path, got, want)
		}
	}
}

// TestBinaryVersion: a directory counts with both programs, of one version, and no scripts around them.
func TestBinaryVersion(t *testing.T) {
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\necho 'postgres (PostgreSQL) 15.1'\n"
	tests := map[string]struct {
		initdb, postgres string // "": none; a path is linked to; else the content
		want             string
	}{
		"both":        {self, self, string(downloaded)},
		"one missing": {"", self, ""},
		"a script":    {self, script, ""},
	}
	for name, test := range tests {
		dir := t.TempDir()
		for program, content := range map[string]string{"initdb": test.initdb, "postgres": test.postgres} {
			path := filepath.Join(dir, program)
			var err error
			switch content {
			case "":
			case self:
				err = os.Symlink(self, path)
			default:
				err = os.WriteFile(path, []byte(content), 0o755)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if got, _ := binaryVersion(t.Context(), dir); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

// TestBinaryDirs: what is on the path comes first, and as the directory that it is linked from, where all programs are.
func TestBinaryDirs(t *testing.T) {
	real, path := t.TempDir(), t.TempDir()
	for _, name := range []string{"postgres", "initdb"} {
		if err := os.WriteFile(filepath.Join(real, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(real, "postgres"), filepath.Join(path, "postgres")); err != nil {
		t.Fatal(err)
	}
	configured := "#!/bin/sh\necho /somewhere/bin\n"
	if err := os.WriteFile(filepath.Join(path, "pg_config"), []byte(configured), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", path)
	want, err := filepath.EvalSymlinks(real)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{want, "/somewhere/bin"}, binaryDirs(t.Context())[:2]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
