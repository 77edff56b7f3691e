package audit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Checkpoint is what a key has signed: that these, and no others, were the first events of the log. As text it is a signed
// note (golang.org/x/mod/sumdb/note) of five lines:
//
//	config.example.com                                        origin: the key's name
//	345                                                       size: how many events, hence the position of the last
//	nND/nri/U0xuHUrYSy0HtMeal2vzD9V4k/BO79C+QeI=              root of the tree over them (RFC 6962)
//	epoch 0193e0b5-7d0a-7c3e-9d2b-0c5f5d1f6a11                 of the log when it was sealed
//	key config.example.com+b2e5c3a1+AZ…                       the public part of the key
//
// The key is there so that a checkpoint that an auditor has kept is all that it takes to check a later one.
type Checkpoint struct {
	Origin string
	tlog.Tree
	Epoch string
	Key   string
}

func (c Checkpoint) text() string {
	return fmt.Sprintf("%s\n%d\n%s\nepoch %s\nkey %s\n", c.Origin, c.N, c.Hash, c.Epoch, c.Key)
}

// sign returns the signed note. Origin and key are those of the key.
func (c Checkpoint) sign(key Key) (string, error) {
	c.Origin, c.Key = key.signer.Name(), key.verifier
	signed, err := note.Sign(&note.Note{Text: c.text()}, key.signer)
	return string(signed), err
}

var (
	// ErrNoCheckpoint: the text is not of the form of a checkpoint.
	ErrNoCheckpoint = errors.New("not a checkpoint")
	// ErrSignature: the checkpoint is not signed by the key that it is checked by.
	ErrSignature = errors.New("the checkpoint's signature is not of the key that is trusted")
)

// OpenCheckpoint reads a signed note and checks that the key whose public part is given has signed it; "" stands for the
// key that the checkpoint itself names, which is as good as where the checkpoint comes from.
func OpenCheckpoint(signed, key string) (Checkpoint, error) {
	text, _, found := strings.Cut(signed, "\n\n")
	if !found {
		return Checkpoint{}, ErrNoCheckpoint
	}
	c, err := parseCheckpoint(text + "\n")
	if err != nil {
		return Checkpoint{}, err
	}
	if key == "" {
		key = c.Key
	}
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("public key %q: %w", key, err)
	}
	opened, err := note.Open([]byte(signed), note.VerifierList(verifier))
	switch {
	case err != nil:
		return Checkpoint{}, fmt.Errorf("%w: it is signed by %s, checked by %s", ErrSignature, c.Key, key)
	case opened.Text != text+"\n":
		return Checkpoint{}, ErrNoCheckpoint
	case c.Key != key || c.Origin != verifier.Name():
		return Checkpoint{}, fmt.Errorf("%w: it names another", ErrSignature)
	}
	return c, nil
}

// maxSize is more events than any log has, and few enough to compute with.
const maxSize = 1 << 53

// parseCheckpoint reads the text that is signed. Of each checkpoint there is exactly one form.
func parseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 6 {
		return Checkpoint{}, ErrNoCheckpoint
	}
	var c Checkpoint
	c.Origin = lines[0]
	var err1, err2 error
	c.Origin = lines[0]
	c.N, err1 = strconv.ParseInt(lines[1], 10, 64)
	c.Hash, err2 = tlog.ParseHash(lines[2])
	c.Epoch = strings.TrimPrefix(lines[3], "epoch ")
	c.Key = strings.TrimPrefix(lines[4], "key ")
	if err1 != nil || err2 != nil || c.N < 1 || c.N > maxSize || c.Epoch == "" || c.text() != text {
		return Checkpoint{}, ErrNoCheckpoint
	}
	return c, nil
}
