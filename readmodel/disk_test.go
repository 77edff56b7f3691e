package readmodel

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

var update = flag.Bool("update", false, "write the golden files anew: only for a new form")

var (
	diskHead    = view.Head{Epoch: "018f4e9c-0000-4000-8000-000000000001", Position: 345, Revision: 12}
	diskEntries = map[events.Key]Entry{
		"db.max_conns": {Value: "9223372036854775807", Kind: events.Int, Revision: 12, Position: 345, From: "payments"},
		"greeting":     {Value: `"<b>&\"é"`, Kind: events.String, Revision: 1, Position: 2, From: "default"},
		"limits":       {Value: `{"burst":[1,2.5,null]}`, Kind: events.JSON, Revision: 3, Position: 4, From: "payments.prod"},
		"token":        {Value: `"hunter2"`, Kind: events.String, Revision: 3, Position: 5, From: "payments.prod", Sensitive: true},
	}
	diskTime = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
)

func diskSample() *Snapshot {
	return newSnapshot(quietReader("payments.prod"), content{}.reloaded(diskHead, diskEntries))
}

func TestDiskGolden(t *testing.T) {
	for name, sensitive := range map[string]bool{"snapshot.disk": false, "snapshot-sensitive.disk": true} {
		t.Run(name, func(t *testing.T) {
			file, err := encodeDisk(diskSample(), diskTime, sensitive)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(path, file, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(file)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !sensitive && bytes.Contains(file, []byte("hunter2")) {
				t.Error("a sensitive value is in the file")
			}
			d, entries, err := decodeDisk(want, "payments.prod")
			if err != nil {
				t.Fatal(err)
			}
			left := maps.Clone(diskEntries)
			if !sensitive {
				delete(left, "token")
			}
			if diff := cmp.Diff(left, entries); diff != "" {
				t.Errorf("decoded (-want +got):\n%s", diff)
			}
			if d.Epoch != diskHead.Epoch || d.Position != 345 || d.Revision != 12 || !d.Confirmed.Equal(diskTime) || d.Left != len(diskEntries)-len(left) {
				t.Errorf("got %+v", d)
			}
		})
	}
}

func TestDiskRefuses(t *testing.T) {
	good, err := encodeDisk(diskSample(), diskTime, true)
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := bytes.Cut(good, []byte("\n"))
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"empty":         {nil, "no snapshot"},
		"cut":           {good[:len(good)/2], "checksum"},
		"changed":       {bytes.Replace(good, []byte(`"position":345`), []byte(`"position":346`), 1), "checksum"},
		"another form":  {bytes.Replace(good, []byte("snapshot 1"), []byte("snapshot 2"), 1), "form"},
		"not JSON":      {seal([]byte(`{"hunter2`)), "not JSON"},
		"no epoch":      {seal(bytes.Replace(body, []byte(`"epoch"`), []byte(`"ep"`), 1)), "history"},
		"another space": {seal(bytes.Replace(body, []byte(`"payments.prod","epoch`), []byte(`"payments","epoch`), 1)), "another namespace"},
		"no value":      {seal(bytes.Replace(body, []byte(`"value":"hunter2"`), []byte(`"hunter2":1`), 1)), "token"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := decodeDisk(c.file, "payments.prod")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want something with %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error repeats what may be a value: %v", err)
			}
		})
	}
}

// FuzzDecodeDisk: whatever is in the file, and even if its checksum is right, nothing breaks, and what is taken is
// written again as it was.
func FuzzDecodeDisk(f *testing.F) {
	good, err := encodeDisk(diskSample(), diskTime, true)
	if err != nil {
		f.Fatal(err)
	}
	_, body, _ := bytes.Cut(good, []byte("\n"))
	f.Add(body)
	f.Add([]byte(`{"namespace":"payments.prod","epoch":"e","position":1,"values":{"a":null}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		decodeDisk(body, "payments.prod")
		d, entries, err := decodeDisk(seal(body), "payments.prod")
		if err != nil {
			return
		}
		again := content{}.reloaded(view.Head{Epoch: d.Epoch, Position: d.Position, Revision: d.Revision}, entries)
		s := newSnapshot(quietReader(d.Namespace), again)
		file, err := encodeDisk(s, d.Confirmed, true)
		if err != nil {
			t.Fatal(err)
		}
		_, read, err := decodeDisk(file, "payments.prod")
		if diff := cmp.Diff(entries, read); err != nil || diff != "" {
			t.Fatalf("%v: %s", err, diff)
		}
	})
}

// A file is there whole or as it was before, and only its owner may read it.
func TestDiskWriting(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "on demand")
	f, r := newFeed("payments.prod", silent{}), quietReader("payments.prod")
	defer r.cancel()
	r.cfg.SnapshotDir = dir
	path := diskPath(dir, "payments.prod")
	if err := r.save(diskSample(), diskTime); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("got %v, %v, want mode 0600", info.Mode(), err)
	}
	f.restore(dir, r.log)
	f.join(r)
	if r.Snapshot().Len() != 3 || r.Status().LeftOut != 1 || !r.Status().LastContact.Equal(diskTime) {
		t.Errorf("restored %+v", r.Status())
	}
	if err := os.Rename(path, path+"-aside"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil { // nothing can be put in its place
		t.Fatal(err)
	}
	if err := r.save(diskSample(), diskTime); err == nil {
		t.Error("saved over a folder")
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
