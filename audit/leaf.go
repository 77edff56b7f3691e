package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/holdfast-config/holdfast/eventlog"
)

// AppendLeaf appends the canonical encoding of a row to b: its nine columns, each as a netstring (<length>:<bytes>,). Of the
// data it has the SHA-256 in lower-case hexadecimal, so that all else of an event can be proved to whoever may not see its
// value. A key that is NULL is empty, numbers are decimal, and the time is in microseconds since 1970 in UTC.
func AppendLeaf(b []byte, r eventlog.Row) []byte { return appendLeaf(b, r, sha256.Sum256(r.Data)) }

// LeafHash is the hash of a row in the tree: that of its canonical encoding after a byte 0 (RFC 6962, section 2.1).
func LeafHash(r eventlog.Row) tlog.Hash { return leafHash(r, sha256.Sum256(r.Data)) }

func leafHash(r eventlog.Row, data digest) tlog.Hash {
	var room [1024]byte // on the stack, for most
	return sha256.Sum256(appendLeaf(room[:1], r, data))
}

// digest is the SHA-256 of an event's data.
type digest [sha256.Size]byte

func appendLeaf(b []byte, r eventlog.Row, data digest) []byte {
	var hexadecimal [2 * sha256.Size]byte
	hex.Encode(hexadecimal[:], data[:])
	b = appendNumber(b, int64(r.Position))
	b = appendText(b, r.Namespace)
	b = appendNumber(b, int64(r.Revision))
	b = appendText(b, r.Type)
	b = appendText(b, r.Key)
	b = appendText(b, hexadecimal[:])
	b = appendText(b, r.Actor)
	b = appendText(b, r.Reason)
	return appendNumber(b, r.Time.UnixMicro())
}

func appendText[T ~string | ~[]byte](b []byte, text T) []byte {
	b = append(strconv.AppendInt(b, int64(len(text)), 10), ':')
	return append(append(b, text...), ',')
}

func appendNumber(b []byte, n int64) []byte {
	var digits [20]byte
	return appendText(b, strconv.AppendInt(digits[:0], n, 10))
}
