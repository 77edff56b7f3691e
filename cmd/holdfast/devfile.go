package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
)

const (
	defaultAPI   = "http://127.0.0.1:8080"
	defaultRedis = "redis://127.0.0.1:6379"
	defaultData  = ".holdfast"
)

// devFile is what a running dev says of itself in its data folder, for its owner's eyes only.
type devFile struct {
	PID      int    `json:"pid"`
	API      string `json:"api"`
	Redis    string `json:"redis"`
	Database string `json:"database"`
	Owner    string `json:"owner"` // URL of the same database
}

func devFileIn(dir string) string { return filepath.Join(dir, "dev.json") }

func (f devFile) write(dir string) error {
	data, err := json.Marshal(f)
	if err != nil {
		return err
	}
	path := devFileIn(dir)
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) { // one that another user left would stay theirs
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o600)
}

// readDevFile returns what the dev in the data folder says; false if none runs there. That of another user is not believed:
// in a folder where anybody may write, it could send our changes and secrets anywhere.
func readDevFile(dir string) (devFile, bool) {
	var f devFile
	file, err := os.Open(devFileIn(dir))
	if err != nil {
		return devFile{}, false
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !isOf(info, os.Geteuid()) || json.NewDecoder(file).Decode(&f) != nil || f.PID <= 0 {
		return devFile{}, false
	}
	err = syscall.Kill(f.PID, 0) // one that was killed could not take its file away
	return f, err == nil || err == syscall.EPERM
}

func isOf(info os.FileInfo, uid int) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == uid
}

// findDev looks for a running dev's data folder here and in the folders above. The zero devFile: there is none.
func findDev() devFile {
	dir, err := os.Getwd()
	for err == nil {
		if f, running := readDevFile(filepath.Join(dir, defaultData)); running {
			return f
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			break
		}
		dir = parent
	}
	return devFile{}
}
