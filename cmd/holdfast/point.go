package main

import (
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-config/holdfast/events"
)

// points says how a point in a namespace's history is written.
const points = "a revision (41), @position (@345), time (2026-11-20T10:00:00Z), tag, or time ago (2h)"

// parsePoint returns a point as the api takes it; empty stays empty. Beside those that the api knows it takes a time ago.
func parsePoint(name, text string) (string, error) {
	if text == "" {
		return "", nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return events.Point{Time: time.Now().Add(-ago).UTC().Truncate(time.Microsecond)}.String(), nil
	}
	point, err := events.ParsePoint(text)
	if err != nil {
		return "", usageError{fmt.Errorf("--%s %q %w, or a time ago (2h)", name, text, err)}
	}
	return point.String(), nil
}

// atFlag is the flag --at of a command that reads.
type atFlag struct{ text string }

func (f *atFlag) define(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.text, "at", "", "as of this `point`: "+points)
}

// add makes a query one as of the point, if one is given.
func (f *atFlag) add(query url.Values) error {
	at, err := parsePoint("at", f.text)
	if err == nil && at != "" {
		query.Set("at", at)
	}
	return err
}
