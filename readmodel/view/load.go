package view

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/events"
)

// Load reads a whole view in one atomic step. It calls entry for every key, in no order, and returns its error as it is. The
// view comes in one reply: that is what makes it one position, and what a resync costs. [ErrAbsent] and [ErrIncomplete] say
// nothing about the keys; an entry that is not of its form fails the whole.
func Load(ctx context.Context, rdb redis.UniversalClient, ns events.Namespace, entry func(events.Key, Entry) error) (Head, error) {
	var values *redis.MapStringStringCmd
	head, err := atomically(ctx, rdb, ns, func(tx redis.Pipeliner) {
		values = tx.HGetAll(ctx, ValuesKey(ns))
	}, func() int { return len(values.Val()) })
	if err != nil {
		return Head{}, fmt.Errorf("load view of %s: %w", ns, err)
	}
	for key, text := range values.Val() {
		e, err := decodeEntry(text)
		if err != nil {
			return Head{}, fmt.Errorf("load view of %s: %w: key %q: %w", ns, ErrIncomplete, key, err)
		}
		if err := entry(events.Key(key), e); err != nil {
			return Head{}, err
		}
	}
	return head, nil
}

// LoadKeys reads the entries of some keys in one atomic step; a key without an effective value is not in the map.
// It fails as [Load] does.
func LoadKeys(ctx context.Context, rdb redis.UniversalClient, ns events.Namespace, keys ...events.Key) (Head, map[events.Key]Entry, error) {
	fields := make([]string, len(keys))
	for i, key := range keys {
		fields[i] = string(key)
	}
	var texts *redis.SliceCmd
	var count *redis.IntCmd
	head, err := atomically(ctx, rdb, ns, func(tx redis.Pipeliner) {
		count = tx.HLen(ctx, ValuesKey(ns))
		if len(fields) > 0 {
			texts = tx.HMGet(ctx, ValuesKey(ns), fields...)
		}
	}, func() int { return int(count.Val()) })
	if err != nil {
		return Head{}, nil, fmt.Errorf("load keys of %s: %w", ns, err)
	}
	entries := make(map[events.Key]Entry, len(keys))
	for i, key := range keys {
		text, ok := texts.Val()[i].(string)
		if !ok {
			continue // nil: the hash has no such field
		}
		if entries[key], err = decodeEntry(text); err != nil {
			return Head{}, nil, fmt.Errorf("load keys of %s: %w: key %q: %w", ns, ErrIncomplete, key, err)
		}
	}
	return head, entries, nil
}

// LoadHead reads the view hash alone: [ErrAbsent] if there is none, [ErrIncomplete] if it is not of its form.
func LoadHead(ctx context.Context, rdb redis.UniversalClient, ns events.Namespace) (Head, error) {
	fields, err := rdb.HGetAll(ctx, HeadKey(ns)).Result()
	if err != nil {
		return Head{}, fmt.Errorf("load view hash of %s: %w", ns, err)
	}
	head, err := ParseHead(fields)
	if err != nil {
		return Head{}, fmt.Errorf("load view hash of %s: %w", ns, err)
	}
	return head, nil
}

// LoadHeartbeat reads the projector's heartbeat: [ErrAbsent] if there is none, [ErrIncomplete] if it is not of its form.
func LoadHeartbeat(ctx context.Context, rdb redis.UniversalClient) (Heartbeat, error) {
	fields, err := rdb.HGetAll(ctx, ProjectorKey).Result()
	if err != nil {
		return Heartbeat{}, fmt.Errorf("load the projector's heartbeat: %w", err)
	}
	if len(fields) == 0 {
		return Heartbeat{}, fmt.Errorf("load the projector's heartbeat: %w", ErrAbsent)
	}
	p := parser{fields: fields}
	beat := Heartbeat{
		Epoch:     p.text("epoch"),
		Term:      p.number("term"),
		Position:  events.Position(p.number("position")),
		Head:      events.Position(p.number("head")),
		UpdatedAt: p.time("updated_at"),
	}
	if p.err != nil {
		return Heartbeat{}, fmt.Errorf("load the projector's heartbeat: %w", p.err)
	}
	return beat, nil
}

// ParseHead reads the fields of a view hash: [ErrAbsent] if there are none, [ErrIncomplete] if they are not of its form.
func ParseHead(fields map[string]string) (Head, error) {
	if len(fields) == 0 {
		return Head{}, ErrAbsent
	}
	p := parser{fields: fields}
	head := Head{
		Epoch:     p.text("epoch"),
		Term:      p.number("term"),
		Position:  events.Position(p.number("position")),
		Revision:  events.Revision(p.number("revision")),
		Keys:      int(p.number("keys")),
		UpdatedAt: p.time("updated_at"),
		Replay:    fields["replay"],
	}
	if p.err != nil {
		return Head{}, p.err
	}
	return head, nil
}

// atomically reads the view hash and what read adds, in one MULTI, which is one slot's and so also whole in a cluster.
// count says afterwards how many fields the values hash had in it.
func atomically(ctx context.Context, rdb redis.UniversalClient, ns events.Namespace, read func(redis.Pipeliner), count func() int) (Head, error) {
	var fields *redis.MapStringStringCmd
	_, err := rdb.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		fields = tx.HGetAll(ctx, HeadKey(ns))
		read(tx)
		return nil
	})
	if err != nil {
		return Head{}, err
	}
	head, err := ParseHead(fields.Val())
	if err != nil {
		return Head{}, err
	}
	if n := count(); n != head.Keys {
		return Head{}, fmt.Errorf("%w: the view hash says %d keys, the values hash has %d", ErrIncomplete, head.Keys, n)
	}
	return head, nil
}

// parser takes fields of a hash and keeps the first error.
type parser struct {
	fields map[string]string
	err    error
}

func (p *parser) text(name string) string {
	s := p.fields[name]
	if s == "" {
		p.fail(name)
	}
	return s
}

func (p *parser) number(name string) int64 {
	n, err := strconv.ParseInt(p.fields[name], 10, 64)
	if err != nil || n < 0 {
		p.fail(name)
	}
	return n
}

func (p *parser) time(name string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, p.fields[name])
	if err != nil {
		p.fail(name)
	}
	return t.UTC()
}

func (p *parser) fail(name string) {
	if p.err == nil {
		p.err = fmt.Errorf("%w: field %s is missing or not of its form", ErrIncomplete, name)
	}
}
