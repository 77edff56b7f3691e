package readmodel

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// following is one session of the Redis source: as long as the connection lasts.
//
// The stream brings each change set as it comes. A look at the view and the heartbeat, once a beat, confirms what was
// brought and finds what a blocked read never would: a stream that was trimmed, deleted or made anew, a view that is gone
// or of another history, a projector that has stopped, a connection that is dead.
type following struct {
	source    *redisSource
	rdb       redis.UniversalClient
	namespace events.Namespace
	sink      Sink

	at  view.Head       // what the sink has
	gap events.Position // an entry of the stream does not follow at, but is here; 0: none

	stuck bool // the subscription does not bring what it should

	ahead      *sight    // a look that saw more than the sink has; confirmed when the stream has brought it
	aheadSince time.Time // since when the stream has brought nothing of it
}

// align loads the view unless the stream goes on from what the sink has, and says how things stand.
func (f *following) align(ctx context.Context) error {
	got := f.look(ctx, f.at)
	if got.err != nil {
		return got.err
	}
	load := f.gap > 0 || f.otherHistory(got) || f.replayed(got)
	switch {
	case f.at.Epoch == "" && got.head.Epoch == "":
		return noView(f.namespace, got.beat)
	case !load && f.at.Epoch != "":
		goesOn, err := f.goesOn(ctx)
		if err != nil {
			return err
		}
		load = !goesOn && got.head.Epoch == f.at.Epoch && got.head.Position > f.at.Position
	}
	if load {
		if err := f.load(ctx, got.head.Keys); err != nil {
			return err
		}
	}
	f.stuck = false
	f.judge(got)
	return nil
}

// otherHistory says that the view is of another history than what the sink has, and that it is the projector's: an old
// replica that came up after a failover may hold a history that is over.
func (f *following) otherHistory(got sight) bool {
	return got.head.Epoch != "" && got.head.Epoch != f.at.Epoch && (f.at.Epoch == "" || got.beat.Epoch == got.head.Epoch)
}

// goesOn reads the next entry of the stream, if there is one, and says whether it follows what the sink has.
func (f *following) goesOn(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	streams, err := f.rdb.XRead(ctx, &redis.XReadArgs{
		Streams: []string{view.ChangesKey(f.namespace), view.StreamID(f.at.Position)}, Count: 1, Block: -1,
	}).Result()
	if errors.Is(err, redis.Nil) || err == nil && len(streams) == 0 {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the stream of %s: %w", f.namespace, err)
	}
	msg, _ := entries{}.Unmarshal(streams[0].Messages[0].Values)
	cs, err := view.ParseMessage(msg)
	return err == nil && cs.Epoch == f.at.Epoch && cs.Prev <= f.at.Position && !cs.Rebuilt, nil
}

// replayed says that the log was replayed into the view since it was loaded: what was loaded may have been wrong. What is
// ahead of the view came from the log itself.
func (f *following) replayed(got sight) bool {
	return got.head.Epoch == f.at.Epoch && got.head.Position >= f.at.Position && got.head.Replay != "" && got.head.Replay != f.source.replay
}

func (f *following) load(ctx context.Context, keys int) error {
	ctx, cancel := context.WithTimeout(ctx, loadTime)
	defer cancel()
	all := make(map[events.Key]Entry, keys)
	head, err := view.Load(ctx, f.rdb, f.namespace, func(key events.Key, e Entry) error {
		all[key] = e
		return nil
	})
	if err != nil {
		return err
	}
	if !f.sink.Load(head, all) {
		return f.behind(head)
	}
	if head.Position < f.gap && head.Epoch == f.at.Epoch {
		return fmt.Errorf("the stream of %s is at %d, ahead of its view at %d", f.namespace, f.gap, head.Position)
	}
	f.at, f.gap, f.ahead, f.source.replay = head, 0, nil, head.Replay
	return nil
}

func (f *following) behind(head view.Head) error {
	shown := "the snapshot on disk"
	if f.at.Epoch != "" {
		shown = fmt.Sprintf("the %d shown", f.at.Position)
	}
	return fmt.Errorf("the view of %s is at %d, behind %s: waiting for the projector", f.namespace, head.Position, shown)
}

// stream passes on what the stream brings from f.at on. It returns nil when the session has to be aligned anew.
func (f *following) stream(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	readErr := make(chan error, 1)
	sub, messages, err := f.subscribe(ctx, readErr)
	if err != nil {
		return err
	}
	defer sub.Close() // and with it its client, which ends a read that blocks

	looks, looking, last := make(chan sight, 1), false, time.Now()
	due := time.NewTimer(rand.N(beat)) // readers that were started together do not look together
	defer due.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case msg, ok := <-messages:
			if !ok {
				return ended(f.namespace, readErr)
			}
			f.take(msg)
			msg.Ack()
		case <-f.sink.Asked():
			if !looking {
				due.Reset(time.Until(last.Add(askedBeat)))
			}
		case <-due.C:
			at := f.at // a change set that comes while Redis is slow to answer must not wait for it
			go func() {
				looks <- f.look(ctx, at)
				f.source.reports.send(ctx, f.rdb, f.namespace)
			}()
			looking = true
		case got := <-looks:
			if got.err != nil {
				return got.err
			}
			f.judge(got)
			looking, last = false, time.Now()
			due.Reset(beat)
		}
		if f.gap > 0 || f.stuck {
			return nil
		}
	}
}

// subscribe starts the library's subscriber, on a client of its own. What it should know: it starts where it is told,
// never at "$", which would lose what comes before its first read; and any error of a read ends it, since it would go on
// with its own pauses otherwise.
func (f *following) subscribe(ctx context.Context, readErr chan<- error) (*redisstream.Subscriber, <-chan *message.Message, error) {
	sub, err := redisstream.NewSubscriber(redisstream.SubscriberConfig{
		Client:                        &prefetching{UniversalClient: f.source.client()},
		Unmarshaller:                  entries{},
		FanOutOldestId:                view.StreamID(f.at.Position),
		BlockTime:                     5 * time.Second, // an idle reader costs one read in that time; Close does not wait for it
		DisableIndefiniteInitialBlock: true,
		ShouldStopOnReadErrors: func(err error) bool {
			select {
			case readErr <- err:
			default:
			}
			return true
		},
	}, nil)
	if err != nil {
		return nil, nil, err
	}
	messages, err := sub.Subscribe(ctx, view.ChangesKey(f.namespace))
	if err != nil {
		return nil, nil, errors.Join(err, sub.Close())
	}
	return sub, messages, nil
}

func ended(ns events.Namespace, readErr <-chan error) error {
	select {
	case err := <-readErr:
		return fmt.Errorf("read the stream of %s: %w", ns, err)
	default:
		return fmt.Errorf("the stream of %s has ended", ns)
	}
}

// take passes on one entry of the stream. One that is no change set of this view is skipped: the view is the truth, and
// if something is missing the next entry does not fit, or a look shows it.
func (f *following) take(msg *message.Message) {
	cs, err := view.ParseMessage(msg)
	if err == nil && cs.Namespace != f.namespace {
		err = fmt.Errorf("it belongs to %s", cs.Namespace)
	}
	if err != nil {
		f.source.log.Warn("stream entry skipped", "namespace", f.namespace, "after", f.at.Position, "error", err)
		return
	}
	if !f.sink.Apply(cs) {
		f.gap = cs.Position
		return
	}
	if cs.Position <= f.at.Position {
		return
	}
	f.at.Position, f.at.Revision = cs.Position, cs.Revision
	f.aheadSince = time.Now()
	if f.ahead != nil && f.at.Position >= f.ahead.head.Position {
		f.vouch(*f.ahead)
		f.ahead = nil
	}
}

// judge tells the sink what a look means for what it has, or sets stuck if the session has to be aligned anew.
func (f *following) judge(got sight) {
	f.source.note(got.beat)
	switch {
	case got.head.Epoch == "":
		f.sink.Doubt(f.here(noView(f.namespace, got.beat)))
	case f.otherHistory(got), f.replayed(got):
		f.stuck = true
	case got.head.Epoch != f.at.Epoch:
		f.sink.Doubt(f.here(fmt.Errorf("the view of %s is of history %s, not of %s as shown", f.namespace, got.head.Epoch, f.at.Epoch)))
	case got.upTo() < got.at.Position:
		f.sink.Doubt(f.here(f.behind(got.head)))
	case got.head.Position <= f.at.Position:
		f.vouch(got)
		f.ahead = nil
	case f.ahead == nil:
		f.ahead, f.aheadSince = &got, time.Now()
	case time.Since(f.aheadSince) >= patience:
		f.stuck = true
	}
}

// vouch confirms what the sink has, of which a look has seen no more, if the projector is there.
func (f *following) vouch(got sight) {
	if err := f.source.trust(got.beat, f.at.Epoch); err != nil {
		f.sink.Doubt(f.here(err))
		return
	}
	f.sink.Confirm(got.beat.Position, got.beat.Head, f.source.beatAt)
}

func (f *following) here(err error) error { return fmt.Errorf("%s: %w", f.source.where, err) }

// entries reads stream entries as the library does, but for one that it can not read, which would end the
// subscription: that becomes an empty message, and no change set.
type entries struct {
	redisstream.DefaultMarshallerUnmarshaller
}

func (u entries) Unmarshal(values map[string]any) (*message.Message, error) {
	msg, err := u.DefaultMarshallerUnmarshaller.Unmarshal(values)
	if err != nil {
		return message.NewMessage("", nil), nil
	}
	return msg, nil
}
