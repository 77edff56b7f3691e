package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

func (c *cli) replayCommand() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:   "replay",
		Short: "Rebuild the views of all namespaces in Redis from the log",
		Long: `Replay asks the projector to read the log again and to put every view in place anew, and waits until that is done. Readers
stay connected: each loads its view once more, sees no key vanish and no value go back. Changes that are made meanwhile wait
for the tree of namespaces that is being rebuilt. Ctrl-C ends the waiting, not the replay.

With --check nothing is changed: the log is folded here, event by event, compared with the views in Redis, and every
difference is listed; the exit code is then 10. It may run at any time, reads Postgres and Redis themselves, and takes memory for
all keys.`,
		Example: "  holdfast replay\n  holdfast replay --check --database postgres://holdfast_app@db/holdfast --redis redis://cache:6379",
		Args:    takes(0, 0),
	}
	cmd.Flags().BoolVar(&check, "check", false, "change nothing; compare the views with the log, and list differences")
	c.databaseFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if check {
			return c.checkViews(cmd.Context())
		}
		cl, err := c.newClient()
		if err != nil {
			return err
		}
		r, err := c.replay(cmd.Context(), cl)
		if err != nil {
			return err
		}
		return c.print(r, func(w io.Writer) {
			fmt.Fprintf(w, "%s with %s rebuilt, up to position %d, in %s\n", count(r.Views, "view"), count(r.Keys, "key"), r.Position,
				r.EndedAt.Sub(r.StartedAt).Round(time.Millisecond))
		})
	}
	return cmd
}

// replayIdle is how long a projector may take to begin before we say that there may be none.
const replayIdle = 5 * time.Second

// replay asks for a replay, and shows how far it is until it is done. Should another be asked for meanwhile, that one
// rebuilds the same and more: it is followed to its end.
func (c *cli) replay(ctx context.Context, cl *client) (r view.Replay, err error) {
	ask := request{method: http.MethodPost, path: cl.path("v1", "replay"), header: http.Header{api.HeaderActor: {c.who()}}}
	if err := cl.do(ctx, ask, &r); err != nil {
		return r, err
	}
	if r.State == view.ReplayRunning {
		c.note("a replay that %s has asked for is under way", words(r.By))
	}
	idle := time.AfterFunc(replayIdle, func() { c.note("no projector has begun yet; is one running? holdfast ready tells") })
	defer idle.Stop()
	var bar *progressbar.ProgressBar
	for r.UnderWay() {
		if !pause(ctx, 100*time.Millisecond) {
			return r, ctx.Err()
		}
		if err := cl.get(ctx, &r, nil, "v1", "replay"); err != nil {
			return r, err
		}
		if bar == nil && r.Views > 0 {
			idle.Stop()
			bar = c.progress(r.Views, "views")
			defer bar.Close()
		}
		if bar != nil {
			_ = bar.Set(r.Done) // that the bar can not be drawn is no reason to stop
		}
	}
	return r, nil
}
