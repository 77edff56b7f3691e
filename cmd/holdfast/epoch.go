package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/holdfast-config/holdfast/commands"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
)

func (c *cli) epochCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "epoch",
		Short: "Declare that the store goes on from a backup",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.epochNewCommand())
	return cmd
}

func (c *cli) epochNewCommand() *cobra.Command {
	var ownerURL string
	cmd := &cobra.Command{
		Use:   "new",
		Short: "Begin a new epoch of the log",
		Long: `New begins a new epoch of the log, by an event of the log itself. Do so once after the database was restored from a backup,
before anything is posted: changes that were made after the backup are lost, and this says so. Every reader loads its view
anew, and a projector that still runs on the former database can write to Redis no more.

It connects as the owner of the database: the application's role may not do this.`,
		Example: `  holdfast epoch new --owner-url postgres://owner@db/holdfast --reason "restored the backup of 20 November, 03:00"`,
		Args:    takes(0, 0),
	}
	cmd.Flags().StringVar(&ownerURL, "owner-url", "", "postgres:// URL of the owner (HOLDFAST_OWNER_URL; default that of a running dev)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		url := firstOf(ownerURL, c.env("HOLDFAST_OWNER_URL"), findDev().Owner)
		if url == "" {
			return usageError{errors.New("the owner's URL is missing; give --owner-url or HOLDFAST_OWNER_URL")}
		}
		if c.reason == "" {
			return usageError{errors.New("the reason is missing; say with --reason what was restored")}
		}
		said := commands.ChangeSet{Namespace: events.LogNamespace, Actor: c.who(), Reason: c.reason}
		if err := said.Check(); err != nil {
			return usageError{err}
		}
		log, err := eventlog.Open(cmd.Context(), eventlog.Config{URL: url, PoolSize: 1, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		defer log.Close()
		began, at, err := log.BeginEpoch(cmd.Context(), c.who(), c.reason)
		if err != nil {
			return err
		}
		return c.print(newEpoch{began, at.Position}, func(w io.Writer) {
			fmt.Fprintf(w, "epoch %s began at position %d, after %s\n", began.Epoch, at.Position, began.Previous)
		})
	}
	return cmd
}

// newEpoch is an epoch that began.
type newEpoch struct {
	events.EpochBegan
	Position events.Position `json:"position"`
}
