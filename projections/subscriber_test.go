package projections

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// Any Watermill subscriber can consume the streams: the library's own does, alone and in a group.
func TestWatermillSubscriber(t *testing.T) {
	for name, cfg := range map[string]redisstream.SubscriberConfig{
		"fan-out":        {FanOutOldestId: "0", DisableIndefiniteInitialBlock: true},
		"consumer group": {ConsumerGroup: "auditors", Consumer: "one", OldestId: "0", DisableIndefiniteInitialBlock: true},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			log := testenv.Log(t)
			url, rdb := testenv.Redis(t)
			running(t, log, rdb, quick)
			projected(t, rdb, 0)
			first := post(t, log, "a", created(), set("x", "0"))
			projected(t, rdb, first.Position)

			cfg.Client = client(t, url) // closing the subscriber closes it
			sub, err := redisstream.NewSubscriber(cfg, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer sub.Close()
			messages, err := sub.Subscribe(ctx, view.ChangesKey("a"))
			if err != nil {
				t.Fatal(err)
			}
			want := []events.Position{first.Position}
			for i := range 20 {
				want = append(want, post(t, log, "a", set("x", events.Value(fmt.Sprint(i+1)))).Position)
			}
			var got []events.Position
			for range want {
				cs := receive(t, ctx, messages)
				got = append(got, cs.Position)
				if last := cs.Changes[len(cs.Changes)-1]; last.Key != "x" || last.Entry.Value != events.Value(fmt.Sprint(len(got)-1)) {
					t.Errorf("change set %d sets %s to %s", len(got), last.Key, last.Entry.Value)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("positions (-want +got):\n%s", diff)
			}
		})
	}
}

func receive(t *testing.T, ctx context.Context, messages <-chan *message.Message) view.ChangeSet {
	t.Helper()
	select {
	case msg, open := <-messages:
		if !open {
			t.Fatal("the subscriber has closed the channel")
		}
		cs, err := view.ParseMessage(msg)
		if err != nil {
			t.Fatal(err)
		}
		msg.Ack()
		return cs
	case <-ctx.Done():
		t.Fatal("no message came")
	}
	return view.ChangeSet{}
}
