package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/holdfast-config/holdfast/migrations"
)

// appRole is the database role that the programs connect as, unless told otherwise.
const appRole = "holdfast_app"

func (c *cli) migrateCommand() *cobra.Command {
	var ownerURL, role string
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring a Postgres database to the schema that this version needs",
		Long: `Migrate connects as the owner of the database, applies what is missing, and creates the application's role where there is
none, with the password in HOLDFAST_APP_PASSWORD, if any. It may run at any time, also several at once.`,
		Example: "  HOLDFAST_APP_PASSWORD=… holdfast migrate --owner-url postgres://owner@db/holdfast",
		Args:    takes(0, 0),
	}
	cmd.Flags().StringVar(&ownerURL, "owner-url", "", "postgres:// URL of the owner (HOLDFAST_OWNER_URL)")
	cmd.Flags().StringVar(&role, "app-role", appRole, "the role that api and projector connect as")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		url := firstOf(ownerURL, c.env("HOLDFAST_OWNER_URL"))
		if url == "" {
			return usageError{errors.New("the owner's URL is missing; give --owner-url or HOLDFAST_OWNER_URL")}
		}
		if err := migrations.Up(cmd.Context(), url, role, c.env("HOLDFAST_APP_PASSWORD")); err != nil {
			return err
		}
		c.note("the database has the newest schema; role %s may append and read", role)
		return nil
	}
	return cmd
}
