package audit

import (
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Tiles are 256 hashes wide: those of eight levels of the tree.
const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
)

// Tiles is where the sealed hashes are read from. Tile returns the hashes of one tile, which may be more than were there
// when a smaller tree was sealed; none if there are none. What it returns is checked, and need not be trusted.
// [eventlog.Log] is one.
type Tiles interface {
	Tile(ctx context.Context, level int, n int64) ([]byte, error)
}

// hashesOf returns a reader of the tree's hashes that returns none which the tree's root does not vouch for.
func hashesOf(ctx context.Context, tiles Tiles, tree tlog.Tree) tlog.HashReader {
	return tlog.TileHashReader(tree, &tileReader{ctx: ctx, tiles: tiles, known: map[tlog.Tile][]byte{}})
}

// tileReader reads tiles for one piece of work, and each of them once.
type tileReader struct {
	ctx   context.Context
	tiles Tiles
	known map[tlog.Tile][]byte // those that were found to be right
}

// maxKnown is how many tiles are kept, at 8 KiB each.
const maxKnown = 1024

// Height is that of all tiles here.
func (r *tileReader) Height() int { return tileHeight }

// ReadTiles reads the tiles, cut to the widths that were asked for.
func (r *tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	all := make([][]byte, len(tiles))
	for i, t := range tiles {
		if data, ok := r.known[t]; ok {
			all[i] = data
			continue
		}
		data, err := r.tiles.Tile(r.ctx, t.L, t.N)
		if err != nil {
			return nil, err
		}
		if len(data) < t.W*tlog.HashSize {
			return nil, fmt.Errorf("tile %d of level %d has %d hashes, not %d", t.N, t.L, len(data)/tlog.HashSize, t.W)
		}
		all[i] = data[:t.W*tlog.HashSize]
	}
	return all, nil
}

// SaveTiles is called with tiles that the root vouches for.
func (r *tileReader) SaveTiles(tiles []tlog.Tile, data [][]byte) {
	if len(r.known) > maxKnown {
		clear(r.known)
	}
	for i, t := range tiles {
		r.known[t] = data[i]
	}
}
