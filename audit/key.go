package audit

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Key signs checkpoints. Its text, PRIVATE+KEY+<name>+<hash>+<data>, is a secret: whoever has it can seal any history.
type Key struct {
	signer   note.Signer
	verifier string
}

// GenerateKey returns the text of a new key. Its name becomes the origin of the checkpoints that it signs, which tells
// the logs of an auditor apart: something like config.example.com. It has no spaces and no plus.
func GenerateKey(name string) (string, error) {
	text, verifier, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		return "", err
	}
	if _, err := note.NewVerifier(verifier); err != nil {
		return "", fmt.Errorf("name of a key %q: it is empty, or has spaces or a plus", name)
	}
	return text, nil
}

// ParseKey reads the text of a key. Its errors repeat nothing of it.
func ParseKey(text string) (Key, error) {
	signer, err := note.NewSigner(strings.TrimSpace(text))
	if err != nil {
		return Key{}, errors.New("this is no key to sign with; make one with: holdfast audit keygen")
	}
	parts := strings.Split(strings.TrimSpace(text), "+")
	seed, err := base64.StdEncoding.DecodeString(strings.Join(parts[4:], "+")) // base64 has pluses, too
	if err != nil {
		return Key{}, err
	}
	public := ed25519.NewKeyFromSeed(seed[1:]).Public().(ed25519.PublicKey) // after a byte that says which kind of key it is
	verifier, err := note.NewEd25519VerifierKey(signer.Name(), public)
	return Key{signer, verifier}, err
}

// LoadKey reads a key from a file, or from source itself if that is a key's text, as the environment may have it: whatever
// has a plus is taken for one, so that no error repeats a key that lacks a part.
func LoadKey(source string) (Key, error) {
	if strings.Contains(source, "+") {
		return ParseKey(source)
	}
	text, err := os.ReadFile(source)
	if err != nil {
		return Key{}, err
	}
	key, err := ParseKey(string(text))
	if err != nil {
		return Key{}, fmt.Errorf("%s: %w", source, err)
	}
	return key, nil
}

// Verifier is the public part, by which anybody can check what the key has signed: <name>+<hash>+<data>.
func (k Key) Verifier() string { return k.verifier }
