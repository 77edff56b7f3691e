package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-config/holdfast/api"
)

func (c *cli) readyCommand() *cobra.Command {
	var wait time.Duration
	cmd := &cobra.Command{
		Use:     "ready",
		Short:   "Say whether the api answers requests, and which of its parts do not",
		Example: "  holdfast ready --wait 30s",
		Args:    takes(0, 0),
	}
	cmd.Flags().DurationVar(&wait, "wait", 0, "keep asking this long until it is ready")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cl, err := c.newClient()
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), wait)
		defer cancel()
		for {
			var r api.Ready
			err := cl.get(cmd.Context(), &r, nil, "readyz")
			if err == nil && r.Ready || !pause(ctx, 200*time.Millisecond) {
				return c.printReady(r, err)
			}
		}
	}
	return cmd
}

func (c *cli) printReady(r api.Ready, err error) error {
	if err != nil {
		return err
	}
	err = c.print(r, func(w io.Writer) {
		for _, name := range slices.Sorted(maps.Keys(r.Parts)) {
			state := "ok"
			if part := r.Parts[name]; !part.OK {
				state = "not ok: " + part.Why
			}
			row(w, name, state)
		}
	})
	if err == nil && !r.Ready {
		return errors.New("not ready")
	}
	return err
}

// versionInfo is what the program knows of itself.
type versionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // of the source
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  takes(0, 0),
		RunE: func(*cobra.Command, []string) error {
			v := versionInfo{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
			if info, ok := debug.ReadBuildInfo(); ok {
				v.Version = firstOf(info.Main.Version, v.Version)
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						v.Revision = s.Value
					}
				}
			}
			return c.print(v, func(w io.Writer) { fmt.Fprintf(w, "holdfast %s %s %s\n", v.Version, v.Go, v.Platform) })
		},
	}
}
