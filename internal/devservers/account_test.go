package devservers

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMayEnter(t *testing.T) {
	base := tempDir(t)
	barred := filepath.Join(base, "barred", "by", "root")
	if err := os.MkdirAll(barred, 0o755); err != nil {
		t.Fatal(err)
	}
	a := &account{name: "someone", uid: 12345, gid: 12345}
	info := func(mode os.FileMode) os.FileInfo {
		t.Helper()
		if err := os.Chmod(barred, mode); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(barred)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	if a.mayEnter(info(0o750)) || !a.mayEnter(info(0o751)) {
		t.Error("another user needs the last execute bit")
	}
	us := &account{uid: os.Getuid(), gid: os.Getgid()}
	if us.mayEnter(info(0o611)) || !us.mayEnter(info(0o700)) {
		t.Error("the owner needs the first execute bit")
	}
	if err := os.Chmod(filepath.Dir(barred), 0o700); err != nil {
		t.Fatal(err)
	}
	if got := a.barredFrom(barred); got != "" {
		t.Errorf("%s is below the temporary directory, and was not opened", got)
	}
}

// TestElsewhere: what only root can reach is linked to where the account can; the next start follows the link, and one
// after the target was removed begins anew.
func TestElsewhere(t *testing.T) {
	base := tempDir(t)
	dir := filepath.Join(base, "dir")
	state := filepath.Join(base, "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	a := &account{name: "someone", uid: 12345, gid: 12345}
	target, err := a.elsewhere(dir, base, state)
	if err != nil || filepath.Dir(target) != state {
		t.Fatalf("got %s, %v; want a directory in %s", target, err, state)
	}
	var us *account
	if got, err := us.own(dir); err != nil || got != target {
		t.Errorf("the next start is in %s, %v; want %s", got, err, target)
	}
	if err := os.RemoveAll(target); err != nil {
		t.Fatal(err)
	}
	if got, err := us.own(dir); err != nil || got != dir {
		t.Errorf("without its target the link leads to %s, %v; want %s made anew", got, err, dir)
	}

	if err := os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = a.elsewhere(dir, base, state)
	wantError(t, err, "user someone, which runs postgres, may not enter "+base, "choose another directory")
}
