package audit_test

import (
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/holdfast-config/holdfast/audit"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
)

// The encoding is for ever: every checkpoint ever signed rests on it.
func TestLeafForm(t *testing.T) {
	t.Parallel()
	row := eventlog.Row{
		Stored:   events.Stored{Type: "value.set.v1", Key: "k", Data: []byte(`{"value":1}`)},
		Position: 12, Namespace: "a.b", Revision: 3, Actor: "ann", Reason: "Grüße", Time: time.UnixMicro(1767315845678901),
	}
	const want = "2:12,3:a.b,1:3,12:value.set.v1,1:k,64:" +
		"48208f9428d64634bd8e28ff345bf0eab60d53c18fa2fbdb0b9bc1e84df2b5f6,3:ann,7:Grüße,16:1767315845678901,"
	if got := string(audit.AppendLeaf(nil, row)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := audit.LeafHash(row), tlog.RecordHash([]byte(want)); got != want {
		t.Errorf("hash: got %s, want that of RFC 6962, %s", got, want)
	}
}

// block returns the first block of code in a language in docs/audit.md: what it tells auditors must be so.
func block(t *testing.T, language string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "```"+language+"\n")
	code, _, ended := strings.Cut(after, "```")
	if !found || !ended {
		t.Fatalf("docs/audit.md has no block in %s", language)
	}
	return code
}

// An auditor who has nothing but psql gets the same hashes.
func TestLeafInSQL(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.post(20)
	s.execute(`INSERT INTO events VALUES (21, 'c', 1, 'odd.v9', NULL, '{ "ü" : 1.0 }', 'Ünal', e'a\n"b",', '2026-01-02 03:04:05.000001+02')`,
		`UPDATE head SET position = 21`)
	recipe := block(t, "sql")
	n := 0
	err := s.log.Rows(t.Context(), 0, 0, func(r eventlog.Row) error {
		var hash []byte
		if err := s.owner.QueryRow(t.Context(), recipe, r.Position).Scan(&hash); err != nil {
			return err
		}
		if want := audit.LeafHash(r); hex.EncodeToString(hash) != fmt.Sprintf("%x", want[:]) {
			t.Errorf("position %d: got %x, want %x", r.Position, hash, want)
		}
		n++
		return nil
	})
	if err != nil || n != 21 {
		t.Errorf("%d rows, %v", n, err)
	}
}

// And so does one who has nothing but Python, masked events and all.
func TestRecipeInPython(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal("python3 is missing: scripts/setup.sh installs it")
	}
	s := newStore(t)
	s.post(300)
	s.execute(`INSERT INTO events VALUES (301, 'c', 1, 'odd.v9', NULL, '{ "ü" : 1.0 }', 'Ünal', e'a\n"b",', '2026-01-02 03:04:05.000001+02')`, head(301))
	s.seal()
	dir := t.TempDir()
	program, export := filepath.Join(dir, "verify.py"), filepath.Join(dir, "log.ndjson")
	run := func(lines lines) (string, error) {
		t.Helper()
		var text []byte
		for _, l := range lines {
			if text, err = l.Append(text); err != nil {
				t.Fatal(err)
			}
		}
		for file, text := range map[string][]byte{program: []byte(block(t, "python")), export: text} {
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		out, err := exec.Command(python, program, export).CombinedOutput()
		return string(out), err
	}
	honest := s.export(func(r eventlog.Row) bool { return r.Position%3 == 0 })
	if out, err := run(honest); err != nil || out != "the 301 events fit the checkpoint\n" {
		t.Errorf("got %v: %s", err, out)
	}
	honest[7].Reason = "another"
	if out, err := run(honest); err == nil {
		t.Errorf("a changed event: got %s", out)
	}
}

func BenchmarkLeafHash(b *testing.B) {
	row := eventlog.Row{
		Stored:   events.Stored{Type: "value.set.v1", Key: "db.max_conns", Data: []byte(`{"value":512}`)},
		Position: 1_000_000, Namespace: "payments.prod", Revision: 3000, Actor: "ann", Reason: "more load", Time: time.Now(),
	}
	b.ReportAllocs()
	var tree audit.Tree
	for b.Loop() {
		tree.Add(audit.LeafHash(row))
	}
}
