package audit

import (
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
)

// testKey signs nothing but the golden note below.
const testKey = "PRIVATE+KEY+config.example.com+b9c61689+AXHyQaBbNe4qQr5bsHnFMCLmZQ3XGd6cEcmIVRSwswNo"

const golden = `config.example.com
345
PAb5plclr2BSYfY2ZyyWINQJcx2JpFHXRV/pxK4WeCk=
epoch 0193e0b5-7d0a-7c3e-9d2b-0c5f5d1f6a11
key config.example.com+b9c61689+Adj0UW7GQWkDwvfntAAUI4QuowNTHXo8JOmCitlWJg40

— config.example.com ucYWiX9ExXH9ZGG346pSKYHlKqkRGOYIyE1NjfPScQuZxyIFFf3V6zbBRlN1Nl51kJxTaK6hKaR6IUm0o0FlHvxRFQc=
`

// The form of a checkpoint is for ever: those that were kept are opened by every later version.
func TestCheckpointForm(t *testing.T) {
	key, err := ParseKey(testKey)
	if err != nil {
		t.Fatal(err)
	}
	want := Checkpoint{
		Origin: "config.example.com", Tree: tlog.Tree{N: 345, Hash: tlog.RecordHash([]byte("root"))},
		Epoch: "0193e0b5-7d0a-7c3e-9d2b-0c5f5d1f6a11", Key: key.Verifier(),
	}
	signed, err := Checkpoint{Tree: want.Tree, Epoch: want.Epoch}.sign(key)
	if err != nil || signed != golden {
		t.Errorf("signed %v:\n%s", err, signed)
	}
	for _, trusted := range []string{"", key.Verifier()} {
		if got, err := OpenCheckpoint(golden, trusted); err != nil || got != want {
			t.Errorf("opened with %q: %+v, %v", trusted, got, err)
		}
	}
	other, err := GenerateKey("config.example.com")
	if err != nil {
		t.Fatal(err)
	}
	otherKey, err := ParseKey(other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCheckpoint(golden, otherKey.Verifier()); !errors.Is(err, ErrSignature) {
		t.Errorf("another key: got %v", err)
	}
	stranger, err := want.sign(otherKey)
	if err != nil {
		t.Fatal(err)
	}
	named := strings.Replace(stranger, otherKey.Verifier(), key.Verifier(), 1) // it names a key that has not signed it
	for name, text := range map[string]string{
		"a stranger's": stranger, "a stranger's that names ours": named, "a larger one": strings.Replace(golden, "\n345\n", "\n346\n", 1),
		"another epoch": strings.Replace(golden, "epoch 0", "epoch 1", 1),
	} {
		if _, err := OpenCheckpoint(text, key.Verifier()); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"empty": "", "no signature": strings.SplitAfter(golden, "\n\n")[0], "a zero in front": strings.Replace(golden, "\n345\n", "\n0345\n", 1),
		"of nothing": strings.Replace(golden, "\n345\n", "\n0\n", 1), "beyond all counting": strings.Replace(golden, "\n345\n", "\n9223372036854775807\n", 1),
		"one line more": strings.Replace(golden, "\n345\n", "\n345\n\n", 1), "no epoch": strings.Replace(golden, "epoch ", "epoche ", 1),
	} {
		if _, err := OpenCheckpoint(text, key.Verifier()); err == nil {
			t.Errorf("%s was taken for a checkpoint", name)
		}
	}
}

// What is wrong with a key is said without repeating it.
func TestKeysStaySecret(t *testing.T) {
	secret := testKey[strings.LastIndex(testKey, "+")+1:]
	for _, text := range []string{"", "x", testKey[1:], testKey[:len(testKey)-4], strings.Replace(testKey, "config", "other", 1)} {
		if _, err := ParseKey(text); err == nil || strings.Contains(err.Error(), secret[:8]) {
			t.Errorf("got %v", err)
		}
		if _, err := LoadKey(text); err == nil || strings.Contains(err.Error(), secret[:8]) {
			t.Errorf("load: got %v", err)
		}
	}
	if key, err := LoadKey(" " + testKey + "\n"); err != nil || strings.Contains(key.Verifier(), secret) {
		t.Errorf("got %v", err)
	}
}

// So is the form of a line: exports that were kept are verified by every later version.
func TestLineForm(t *testing.T) {
	row := eventlog.Row{
		Stored:   events.Stored{Type: "value.set.v1", Key: "k", Data: []byte(`{"value":"<ü>"}`)},
		Position: 12, Namespace: "a.b", Revision: 3, Actor: "ann", Reason: "more & more", Time: time.UnixMicro(1767315845678901),
	}
	for masked, want := range map[bool]string{
		false: `{"position":12,"namespace":"a.b","revision":3,"type":"value.set.v1","key":"k","data":"{\"value\":\"<ü>\"}","actor":"ann","reason":"more & more","at":1767315845678901}` + "\n",
		true:  `{"position":12,"namespace":"a.b","revision":3,"type":"value.set.v1","key":"k","actor":"ann","reason":"more & more","at":1767315845678901,"data_sha256":"3687b064c2fe2f3fadc2a9380e2d9cabe49486df88c36afa58caa370bef2a3c5"}` + "\n",
	} {
		line := LineOf(row, masked)
		text, err := line.Append(nil)
		if err != nil || string(text) != want {
			t.Errorf("masked %t: got %v %s", masked, err, text)
		}
		back, err := ParseLine([]byte(want))
		if err != nil || back != line {
			t.Errorf("read back: %+v, %v", back, err)
		}
		if hash, err := back.hash(); err != nil || hash != LeafHash(row) {
			t.Errorf("masked %t: its hash is another (%v)", masked, err)
		}
	}
	for _, text := range []string{
		``, `{}`, `[]`, `{"checkpoint":""}`, `{"position":1}`, `{"checkpoint":"x","position":1,"data":"{}"}`, `{"position":1,"data":"{}","more":1}`,
		`{"position":1,"data":"{}","data_sha256":"00"}`, `{"position":1,"data":{}}`, `{"position":1,"data":"{}"} {}`, `{"position":"1","data":"{}"}`,
	} {
		if line, err := ParseLine([]byte(text)); err == nil {
			t.Errorf("%s was taken for %+v", text, line)
		}
	}
	if _, err := (Line{Position: 1, DataSHA256: strings.Repeat("0", 128)}).hash(); err == nil {
		t.Error("a digest of the wrong length was taken")
	}
}
