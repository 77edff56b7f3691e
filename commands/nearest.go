package commands

import (
	"math/bits"
	"strings"

	"github.com/agnivade/levenshtein"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

// nearest returns the key known in ns whose name is nearest to that of key, regardless of case, and near enough to be
// meant; empty: there is none.
func nearest(t config.Tree, ns events.Namespace, key events.Key) events.Key {
	name := strings.ToLower(string(key))
	best, limit := events.Key(""), min(1+len(name)/4, 5) // edits that one makes by mistake
	letters := letterSet(name)
	for space := range t.Chain(ns) {
		for known := range space.Keys() {
			far := len(known)-len(name) > limit || len(name)-len(known) > limit
			if far || bits.OnesCount64(letters^letterSet(string(known))) > 2*limit { // an edit changes two letters at most
				continue
			}
			distance := levenshtein.ComputeDistance(name, strings.ToLower(string(known)))
			if distance < limit || distance == limit && (best == "" || known < best) {
				best, limit = known, distance
			}
		}
	}
	return best
}

// letterSet has a bit for each character in s, regardless of case: a look at two of them spares most comparisons.
func letterSet(s string) (set uint64) {
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		set |= 1 << (c & 63)
	}
	return set
}
