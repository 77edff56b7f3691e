package commands

import (
	"strings"

	"github.com/agnivade/levenshtein"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

const maxEdits = 5 // that one makes by mistake

// nearest returns the key known in ns whose name is nearest to that of key, regardless of case, and near enough to be
// meant; empty: there is none. Of names that are equally near it is the first.
func nearest(t config.Tree, ns events.Namespace, key events.Key) events.Key {
	name := strings.ToLower(string(key))
	limit := min(1+len(name)/4, maxEdits)
	letters := count(name)
	var candidates [maxEdits + 1][]events.Key // by the fewest edits that they can be away
	for space := range t.Chain(ns) {
		for known := range space.Keys() {
			edits := max(letters.lacks(string(known)), len(name)-len(known))
			if edits <= limit {
				candidates[edits] = append(candidates[edits], known)
			}
		}
	}
	best := events.Key("")
	for edits := 0; edits <= limit; edits++ { // the limit falls to the best found, so that most are never compared
		for _, known := range candidates[edits] {
			distance := levenshtein.ComputeDistance(name, strings.ToLower(string(known)))
			if distance < limit || distance == limit && (best == "" || known < best) {
				best, limit = known, distance
			}
		}
	}
	return best
}

// counts says how often each character is in a name, regardless of case.
type counts [128]int16

func count(name string) (c counts) {
	for i := range len(name) {
		c[slot(name[i])]++
	}
	return c
}

// lacks returns how many characters of name are not in what was counted, or, if more, one over what is near. Each of
// them is an edit.
func (c counts) lacks(name string) (n int) {
	for i := 0; i < len(name) && n <= maxEdits; i++ {
		at := slot(name[i])
		if c[at]--; c[at] < 0 {
			n++
		}
	}
	return n
}

// slot gives letters that differ only in case one place; no other two bytes of names share one.
func slot(b byte) byte { return (b | 0x20) & 127 }
