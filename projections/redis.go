package projections

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

var (
	//go:embed epoch.lua
	epochSource string
	//go:embed apply.lua
	applySource string
	//go:embed stage.lua
	stageSource string
	//go:embed replace.lua
	replaceSource string
	//go:embed drop.lua
	dropSource string
	//go:embed beat.lua
	beatSource string
	//go:embed replay.lua
	tellSource string
)

var (
	apply   = redis.NewScript(epochSource + applySource)
	stage   = redis.NewScript(stageSource)
	replace = redis.NewScript(epochSource + replaceSource)
	drop    = redis.NewScript(epochSource + dropSource)
	beat    = redis.NewScript(epochSource + beatSource)
	tell    = redis.NewScript(tellSource)

	scripts = []*redis.Script{apply, stage, replace, drop, beat, tell}
)

// outcome is what a script answers; each says in its head which it has.
type outcome string

const (
	ok     outcome = "OK"
	done   outcome = "DONE"
	wrong  outcome = "EPOCH"
	fenced outcome = "FENCED"
	past   outcome = "PAST"
	gap    outcome = "GAP"
	lost   outcome = "LOST"
)

// refused says why this projector may not write any more; nil: it may.
func (o outcome) refused() error {
	switch o {
	case fenced:
		return errFenced
	case past:
		return errPast
	}
	return nil
}

// call is one script on one namespace: the keys of a call are in one slot.
type call struct {
	script *redis.Script
	ns     events.Namespace
	keys   []string
	args   []any
}

// viewKeys are the keys of a namespace's view, as every script takes them.
func viewKeys(ns events.Namespace) []string {
	return []string{view.ValuesKey(ns), view.HeadKey(ns), view.ChangesKey(ns)}
}

// store is Redis. A call to one that hangs ends with the client's own timeouts: go-redis heeds no cancellation while it
// waits for a reply.
type store struct{ rdb redis.UniversalClient }

// run sends the calls in one pipeline and returns their outcomes. On an error some of them may have been carried out:
// all may be sent again.
func (s store) run(ctx context.Context, calls []call) ([]outcome, error) {
	if len(calls) == 0 {
		return nil, nil
	}
	outcomes, err := s.send(ctx, calls)
	if redis.HasErrorPrefix(err, "NOSCRIPT") { // Redis was started anew, or failed over
		if err := s.load(ctx); err != nil {
			return nil, err
		}
		outcomes, err = s.send(ctx, calls)
	}
	return outcomes, err
}

func (s store) send(ctx context.Context, calls []call) ([]outcome, error) {
	replies := make([]*redis.Cmd, len(calls))
	_, err := s.rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, c := range calls {
			replies[i] = c.script.EvalSha(ctx, pipe, c.keys, c.args...)
		}
		return nil
	})
	outcomes := make([]outcome, len(calls))
	var failed error
	for i, reply := range replies {
		text, replyErr := reply.Text()
		switch {
		case replyErr == nil:
			outcomes[i] = outcome(text)
		case isWrongType(replyErr):
			outcomes[i] = gap // somebody put something else under one of our names
		case failed == nil || redis.HasErrorPrefix(replyErr, "NOSCRIPT"):
			failed = replyErr
		}
	}
	if failed == nil && err != nil && !isWrongType(err) {
		failed = err
	}
	return outcomes, failed
}

// load puts the scripts on every server: a cluster's client sends SCRIPT LOAD to all shards.
func (s store) load(ctx context.Context) error {
	for _, script := range scripts {
		if err := script.Load(ctx, s.rdb).Err(); err != nil {
			return fmt.Errorf("load a script: %w", err)
		}
	}
	return nil
}

// seen is what Redis holds of a view. Err is view.ErrAbsent or view.ErrIncomplete where it must be put in place anew.
type seen struct {
	view.Head
	Err error
}

// look reads the heads of views, in one pipeline.
func (s store) look(ctx context.Context, names []events.Namespace) ([]seen, error) {
	heads := make([]*redis.MapStringStringCmd, len(names))
	counts := make([]*redis.IntCmd, len(names))
	_, err := s.rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, ns := range names {
			heads[i], counts[i] = pipe.HGetAll(ctx, view.HeadKey(ns)), pipe.HLen(ctx, view.ValuesKey(ns))
		}
		return nil
	})
	if err != nil && !isWrongType(err) {
		return nil, err
	}
	all := make([]seen, len(names))
	for i := range names {
		if err := errors.Join(heads[i].Err(), counts[i].Err()); err != nil && !isWrongType(err) {
			return nil, err
		} else if err != nil {
			all[i].Err = view.ErrIncomplete
			continue
		}
		all[i].Head, all[i].Err = view.ParseHead(heads[i].Val())
		if all[i].Err == nil && int64(all[i].Keys) != counts[i].Val() {
			all[i].Err = view.ErrIncomplete
		}
	}
	return all, nil
}

// heartbeat reads what the last projector wrote; false if there is nothing to go by.
func (s store) heartbeat(ctx context.Context) (view.Heartbeat, bool, error) {
	beat, err := view.LoadHeartbeat(ctx, s.rdb)
	if isNoView(err) {
		return view.Heartbeat{}, false, nil
	}
	return beat, err == nil, err
}

// view reads a whole view. isNoView tells whether an error says that there is none.
func (s store) view(ctx context.Context, ns events.Namespace) (view.Head, map[events.Key]view.Entry, error) {
	entries := map[events.Key]view.Entry{}
	head, err := view.Load(ctx, s.rdb, ns, func(key events.Key, e view.Entry) error {
		entries[key] = e
		return nil
	})
	if err != nil {
		return view.Head{}, nil, err
	}
	return head, entries, nil
}

// isNoView says whether err is of a Redis that answers, but holds nothing that is complete and of its form.
func isNoView(err error) bool {
	return errors.Is(err, view.ErrAbsent) || errors.Is(err, view.ErrIncomplete) || isWrongType(err)
}

// namespaces lists the namespaces of which Redis holds a view hash, on all masters of a cluster.
func (s store) namespaces(ctx context.Context) ([]events.Namespace, error) {
	var mu sync.Mutex // masters are scanned concurrently
	var found []events.Namespace
	scan := func(ctx context.Context, rdb redis.Cmdable) error {
		keys := rdb.Scan(ctx, 0, view.HeadKey("*"), 1000).Iterator()
		for keys.Next(ctx) {
			name := strings.TrimSuffix(strings.TrimPrefix(keys.Val(), "holdfast:{"), "}:view")
			if ns, err := events.ParseNamespace(name); err == nil {
				mu.Lock()
				found = append(found, ns)
				mu.Unlock()
			}
		}
		return keys.Err()
	}
	if cluster, ok := s.rdb.(*redis.ClusterClient); ok {
		err := cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error { return scan(ctx, master) })
		return found, err
	}
	err := scan(ctx, s.rdb)
	return found, err
}

func isWrongType(err error) bool { return err != nil && strings.Contains(err.Error(), "WRONGTYPE") }

// exact is n as Lua will read it: as a double, exact below 2^53.
func exact[N ~int64 | ~int](n N) N {
	if int64(n) < 0 || int64(n) >= 1<<53 {
		panic(fmt.Sprintf("projections: %d is beyond what Lua counts exactly", n))
	}
	return n
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
