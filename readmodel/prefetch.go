package readmodel

import (
	"context"
	"runtime"

	"github.com/redis/go-redis/v9"
)

// prefetch is how many stream entries are read at once when many wait.
const prefetch = 32

// prefetching is a client for the library's subscriber, which asks for one entry at a time: it reads what waits at once
// and answers the next reads from that. Each entry would cost a round trip otherwise, and a reader that is behind would
// catch up slowly. One goroutine uses it.
type prefetching struct {
	redis.UniversalClient
	last string           // id of the entry handed out last
	rest []redis.XMessage // entries after it that are read already
}

func (p *prefetching) XRead(ctx context.Context, a *redis.XReadArgs) *redis.XStreamSliceCmd {
	stream, after := a.Streams[0], a.Streams[1]
	if len(p.rest) > 0 && after == p.last {
		return p.next(ctx, stream)
	}
	runtime.Gosched() // what was read last is passed on first: this read may take as long as nothing changes
	args := *a
	args.Count = prefetch
	read := p.UniversalClient.XRead(ctx, &args)
	streams, err := read.Result()
	if err != nil || len(streams) != 1 || len(streams[0].Messages) == 0 {
		p.rest = nil
		return read
	}
	p.rest = streams[0].Messages
	return p.next(ctx, stream)
}

func (p *prefetching) next(ctx context.Context, stream string) *redis.XStreamSliceCmd {
	one := p.rest[:1:1]
	p.last, p.rest = one[0].ID, p.rest[1:]
	answer := redis.NewXStreamSliceCmd(ctx)
	answer.SetVal([]redis.XStream{{Stream: stream, Messages: one}})
	return answer
}
