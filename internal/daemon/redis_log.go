package daemon

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/redis/go-redis/v9"
)

// redisLog takes what the Redis client would print by itself: at debug, since whoever uses the client reports its errors.
type redisLog struct{ logger *slog.Logger }

func (l redisLog) Printf(ctx context.Context, format string, args ...any) {
	if l.logger.Enabled(ctx, slog.LevelDebug) {
		l.logger.DebugContext(ctx, "redis client", "message", fmt.Sprintf(format, args...))
	}
}

// QuietRedis sends the Redis client's own messages, of the whole process, to logger.
func QuietRedis(logger *slog.Logger) { redis.SetLogger(redisLog{logger}) }
