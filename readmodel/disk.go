package readmodel

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// diskSnapshot is what a reader's file holds: a line of diskMagic and the SHA-256 of the rest, then this as JSON.
type diskSnapshot struct {
	Namespace events.Namespace               `json:"namespace"`
	Epoch     string                         `json:"epoch"`
	Position  events.Position                `json:"position"`
	Revision  events.Revision                `json:"revision"`
	Confirmed time.Time                      `json:"confirmed"`         // when a source last confirmed it, as of the writing; zero: none has
	Left      int                            `json:"left_out,omitzero"` // sensitive values that are not in it
	Values    map[events.Key]json.RawMessage `json:"values"`
}

// diskMagic names the form. A program that does not know a form ignores the file.
const diskMagic = "holdfast-snapshot 1 "

const (
	diskSuffix = ".snapshot"
	saveEvery  = 3 * time.Second // a file is written at most so often
)

// encodeDisk returns the file of a snapshot. Without sensitive, values so marked are left out.
func encodeDisk(s *Snapshot, confirmed time.Time, sensitive bool) ([]byte, error) {
	d := diskSnapshot{
		Namespace: s.Namespace(), Epoch: s.Epoch(), Position: s.Position(), Revision: s.Revision(),
		Confirmed: confirmed.UTC(), Values: make(map[events.Key]json.RawMessage, s.Len()),
	}
	for key, it := range s.items.All() {
		if it.Sensitive && !sensitive {
			d.Left++
			continue
		}
		d.Values[key] = view.EncodeEntry(it.Entry)
	}
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false) // canonical values stay as they are
	if err := enc.Encode(d); err != nil {
		return nil, errors.New("the snapshot is not JSON") // the cause may quote a value
	}
	return seal(body.Bytes()), nil
}

// decodeDisk reads a file of namespace ns. Its errors quote nothing of the file.
func decodeDisk(file []byte, ns events.Namespace) (diskSnapshot, map[events.Key]Entry, error) {
	var d diskSnapshot
	line, body, ok := bytes.Cut(file, []byte("\n"))
	sum, known := bytes.CutPrefix(line, []byte(diskMagic))
	switch {
	case !ok || !known:
		return d, nil, errors.New("it is no snapshot of a form that this program knows")
	case checksum(body) != string(sum):
		return d, nil, errors.New("it is damaged: its checksum is wrong")
	}
	if err := json.Unmarshal(body, &d); err != nil {
		return d, nil, errors.New("it is damaged: it is not JSON of its form")
	}
	switch {
	case d.Namespace != ns:
		return d, nil, errors.New("it is another namespace's")
	case d.Epoch == "" || d.Position < 1 || d.Revision < 0:
		return d, nil, errors.New("it does not say which history and position it is of")
	}
	entries := make(map[events.Key]Entry, len(d.Values))
	for key, text := range d.Values {
		e, err := view.DecodeEntry(text)
		if err != nil {
			return d, nil, fmt.Errorf("key %q: %w", key, err)
		}
		entries[key] = e
	}
	d.Values = nil
	return d, entries, nil
}

// seal puts the line in front that says what the file is and that it is whole.
func seal(body []byte) []byte {
	return append([]byte(diskMagic+checksum(body)+"\n"), body...)
}

func checksum(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

func diskPath(dir string, ns events.Namespace) string {
	return filepath.Join(dir, string(ns)+diskSuffix)
}

// restore delivers what is on disk, if it is whole. Sources replace it; it keeps them from going back behind it.
func (f *feed) restore(dir string, log *slog.Logger) {
	if dir == "" {
		return
	}
	path := diskPath(dir, f.namespace)
	file, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var d diskSnapshot
	var entries map[events.Key]Entry
	if err == nil {
		d, entries, err = decodeDisk(file, f.namespace)
	}
	if err != nil {
		log.Warn("snapshot on disk ignored", "namespace", f.namespace, "path", path, "error", err)
		return
	}
	restored := content{}.reloaded(view.Head{Epoch: d.Epoch, Position: d.Position, Revision: d.Revision}, entries)
	restored.disk = &d
	f.said.contact = d.Confirmed
	f.deliver(restored, nil)
}

// keepOnDisk writes what is shown to disk, at most once in saveEvery, and at Close.
func (r *Reader) keepOnDisk() {
	var saved *Snapshot
	complained := false
	save := func() {
		s, confirmed := r.worthSaving()
		if s == saved {
			return
		}
		err := r.save(s, confirmed)
		if err != nil && !complained {
			r.log.Warn("snapshot not written to disk", "namespace", r.namespace, "error", err)
		}
		if complained = err != nil; !complained {
			saved = s
		}
	}
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			save()
		case <-r.ctx.Done():
			if s, _ := r.worthSaving(); s == saved {
				saved = nil // once more, with the time of the last confirmation
			}
			save()
			return
		}
	}
}

// worthSaving returns what is shown if it came from a source, and when that last confirmed it.
func (r *Reader) worthSaving() (*Snapshot, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.newest.after.onDisk() {
		return nil, time.Time{}
	}
	return r.Snapshot(), r.said.contact
}

// save writes the file so that it is there whole or not at all, whatever ends the machine.
func (r *Reader) save(s *Snapshot, confirmed time.Time) error {
	file, err := encodeDisk(s, confirmed, r.cfg.SnapshotSensitive)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(r.cfg.SnapshotDir, 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(r.cfg.SnapshotDir, "."+string(r.namespace)+"-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = temp.Write(file)
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), diskPath(r.cfg.SnapshotDir, r.namespace))
	}
	if err != nil {
		os.Remove(temp.Name())
		return err
	}
	dir, err := os.Open(r.cfg.SnapshotDir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
