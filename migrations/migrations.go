// Package migrations is the schema of the log, as goose migrations in SQL, embedded. A migration is never edited once it
// has landed.
package migrations

import "context"

// Up brings the database at url, connected to as the owner, to the newest schema, under a session lock of our own, and
// grants what the application's role may do. The role appRole is created (LOGIN, with appPassword if not empty) if it is not there.
func Up(ctx context.Context, url, appRole, appPassword string) error { panic("unwritten") }
