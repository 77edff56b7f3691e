package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-config/holdfast/api"
)

// completeNamespace offers the names of namespaces to a shell.
func (c *cli) completeNamespace(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.offer(cmd.Context(), typed, ""), cobra.ShellCompDirectiveNoFileComp
}

// completeAddress offers namespaces and, once there is a slash, the keys that are defined there.
func (c *cli) completeAddress(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	return c.offer(cmd.Context(), typed, "/"), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// offer is silent about errors: a shell would show them as words to choose from.
func (c *cli) offer(ctx context.Context, typed, suffix string) []string {
	cl, err := c.newClient()
	if err != nil {
		return nil
	}
	cl.timeout = time.Second
	var words []string
	if ns, _, found := strings.Cut(typed, "/"); found {
		var list api.Definitions
		if cl.get(ctx, &list, nil, "v1", "namespaces", ns, "definitions") != nil {
			return nil
		}
		for _, key := range slices.Sorted(maps.Keys(list.Definitions)) {
			words = append(words, ns+"/"+string(key))
		}
	} else {
		names, err := cl.namespaces(ctx, "")
		if err != nil {
			return nil
		}
		for _, name := range names {
			words = append(words, string(name)+suffix)
		}
	}
	return slices.DeleteFunc(words, func(word string) bool { return !strings.HasPrefix(word, typed) })
}
