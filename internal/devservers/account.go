package devservers

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// account is the user that a server runs as; nil: the one we are.
type account struct {
	name     string
	uid, gid int
}

// unprivileged returns the account for a server that refuses to run as root: nil unless we are root.
func unprivileged() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err1 == nil && err2 == nil && uid > 0 {
			return &account{name, uid, gid}, nil
		}
	}
	return nil, fmt.Errorf("postgres does not run as root, and there is no user postgres or nobody to run it as: run as another user")
}

func (a *account) credential() *syscall.Credential {
	if a == nil {
		return nil
	}
	return &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
}

// own makes dir, private to the account, and returns where it is. What only root can reach, an account can not use:
// then dir becomes a symbolic link to a directory below stateDir.
func (a *account) own(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	if target, err := os.Readlink(dir); err == nil {
		if _, err := os.Stat(target); os.IsNotExist(err) {
			os.Remove(dir) // made by an earlier start, and its target is gone
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
		return "", err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", err
	}
	if a == nil {
		return dir, os.Chmod(dir, 0o700)
	}
	if barred := a.barredFrom(filepath.Dir(dir)); barred != "" {
		if dir, err = a.elsewhere(dir, barred, stateDir); err != nil {
			return "", err
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return "", err
	}
	return dir, os.Chown(dir, a.uid, a.gid)
}

// barredFrom returns the first directory on the way to dir that the account may not enter, or "". Directories that are
// ours to open, dir itself and those below the temporary one, are opened for entering.
func (a *account) barredFrom(dir string) string {
	temp, _ := filepath.EvalSymlinks(os.TempDir())
	for p := dir; ; p = filepath.Dir(p) {
		info, err := os.Stat(p)
		if err != nil {
			return p
		}
		if !a.mayEnter(info) {
			ours := p == dir || strings.HasPrefix(p, temp+string(filepath.Separator))
			if !ours || os.Chmod(p, info.Mode().Perm()|0o011) != nil {
				return p
			}
		}
		if p == filepath.Dir(p) {
			return ""
		}
	}
}

func (a *account) mayEnter(info os.FileInfo) bool {
	bit := os.FileMode(0o001)
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		switch {
		case int(stat.Uid) == a.uid:
			bit = 0o100
		case int(stat.Gid) == a.gid:
			bit = 0o010
		}
	}
	return info.Mode()&bit != 0
}

// stateDir is where data goes that can not be where it was wanted.
const stateDir = "/var/lib/holdfast"

// elsewhere replaces the empty dir with a link to a directory below base, which the account can reach.
func (a *account) elsewhere(dir, barred, base string) (string, error) {
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", err
	}
	if err := os.Remove(dir); err != nil {
		return "", fmt.Errorf("user %s, which runs postgres, may not enter %s, so that %s is out of its reach: choose another directory", a.name, barred, dir)
	}
	target, err := os.MkdirTemp(base, "postgres-")
	if err != nil {
		return "", err
	}
	return target, os.Symlink(target, dir)
}
