package readmodel

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

const (
	reportEvery = 5 * time.Second
	reportLife  = 4 * reportEvery // without another, the instance is gone
)

// reports say in Redis who readers are and how they do. They go over the connection that looks at the view, after a look
// and apart from it: one that fails or hangs holds up nothing.
type reports struct {
	instances func() []view.Instance // those to report
	log       *slog.Logger
	due       atomic.Int64 // Unix nanoseconds
	said      atomic.Bool  // that reports fail
}

// send reports if it is time to.
func (p *reports) send(ctx context.Context, rdb redis.UniversalClient, ns events.Namespace) {
	due, now := p.due.Load(), time.Now()
	if now.UnixNano() < due || !p.due.CompareAndSwap(due, now.Add(reportEvery).UnixNano()) {
		return
	}
	for _, in := range p.instances() {
		if !p.report(ctx, rdb, ns, in) {
			return
		}
	}
}

// report returns false when Redis has not answered.
func (p *reports) report(ctx context.Context, rdb redis.UniversalClient, ns events.Namespace, in view.Instance) bool {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	err := view.ReportInstance(ctx, rdb, ns, in, reportLife)
	if err != nil && ctx.Err() == nil && !p.said.Swap(true) {
		p.log.Warn("this instance can not report itself; it reads all the same", "namespace", ns, "instance", in.Instance, "error", err)
	}
	return ctx.Err() == nil
}

// instances are what the chain's readers say of themselves, but for those that do not report.
func (c *chain) instances() []view.Instance {
	c.mu.Lock()
	readers := slices.Collect(maps.Keys(c.feed.readers))
	c.mu.Unlock()
	var all []view.Instance
	for _, r := range readers {
		if r.report != nil {
			all = append(all, r.report())
		}
	}
	return all
}

// identify returns what the reader says of itself at any time.
func (r *Reader) identify() func() view.Instance {
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	in := view.Instance{
		App:      cmp.Or(r.cfg.App, filepath.Base(os.Args[0])),
		Instance: cmp.Or(r.cfg.Instance, fmt.Sprintf("%s-%d-%s", cmp.Or(host, "unknown"), os.Getpid(), rand.Text()[:6])),
		Host:     host, Version: libraryVersion(),
	}
	return func() view.Instance {
		in, st := in, r.Status()
		in.Epoch, in.Position, in.Revision = st.Epoch, st.Position, st.Revision
		in.Source, in.State, in.AgeMs = st.Source, string(st.State), st.Age.Milliseconds()
		if st.Rejected != nil {
			in.Rejected = &view.Rejected{Position: st.Rejected.Position, Why: st.Rejected.Why}
		}
		return in
	}
}

// libraryVersion is that of this module in the program.
func libraryVersion() string {
	const module = "github.com/holdfast-config/holdfast"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == module {
			return m.Version
		}
	}
	return ""
}
