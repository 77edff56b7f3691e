package readmodel

import (
	"context"
	"net/http"
)

// pinKey is where a context has the snapshot of a reader. The key nil has that which was pinned last.
type pinKey struct{ reader *Reader }

// Pin returns a context that carries the reader's newest snapshot, so that all who work on a request read at one
// position, from its start to its end:
//
//	ctx = readmodel.Pin(ctx, r)
//	n := MaxConns.Get(readmodel.Pinned(ctx))
//
// If ctx carries one of r already that one stays.
func Pin(ctx context.Context, r *Reader) context.Context {
	s, ok := ctx.Value(pinKey{r}).(*Snapshot)
	if !ok {
		s = r.Snapshot()
		ctx = context.WithValue(ctx, pinKey{r}, s)
	}
	return context.WithValue(ctx, pinKey{}, s)
}

// Pinned returns the snapshot that was pinned to ctx; nil, which has no values, if none was. Where several readers have
// been pinned it is that of the last; [Reader.Pinned] knows them apart.
func Pinned(ctx context.Context) *Snapshot {
	s, _ := ctx.Value(pinKey{}).(*Snapshot)
	return s
}

// Pinned returns the reader's snapshot that was pinned to ctx, and its newest if none was.
func (r *Reader) Pinned(ctx context.Context) *Snapshot {
	if s, ok := ctx.Value(pinKey{r}).(*Snapshot); ok {
		return s
	}
	return r.Snapshot()
}

// PinRequests returns middleware that pins the reader to the context of each request.
func PinRequests(r *Reader) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			next.ServeHTTP(w, req.WithContext(Pin(req.Context(), r)))
		})
	}
}
