// Package migrations is the schema of the log, as goose migrations in SQL, embedded. A migration is never edited once it
// has landed.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed sql/*.sql
var files embed.FS

const (
	// Newest is the version of the schema that this program needs.
	Newest = 3

	// VersionTable is where the database says which versions it has, a row each.
	VersionTable = "schema_version"

	lockID      = 0x686F6C64_6D696772 // "holdmigr": the session lock of whoever migrates
	lockTries   = 300                 // a second apart
	unlockTries = 5
)

// Up brings the database at url, connected to as the owner, to the newest schema, under a session lock of our own, and
// grants what the application's role may do. The role appRole is created (LOGIN, with appPassword if not empty) if it is not there;
// one that could change events whatever it is granted is refused.
func Up(ctx context.Context, url, appRole, appPassword string) error {
	if appRole == "" {
		return errors.New("migrate: name the application's role")
	}
	return run(ctx, url, func(db *sql.DB, schema *goose.Provider) error {
		if _, err := schema.Up(ctx); err != nil {
			return err
		}
		if err := createRole(ctx, db, appRole, appPassword); err != nil {
			return fmt.Errorf("role %q: %w", appRole, err)
		}
		if err := refuseMaster(ctx, db, appRole); err != nil {
			return fmt.Errorf("role %q %w", appRole, err)
		}
		return grant(ctx, db, appRole)
	})
}

// Down takes everything away again, all events with it. The application's role stays: it belongs to the server.
func Down(ctx context.Context, url string) error {
	return run(ctx, url, func(_ *sql.DB, schema *goose.Provider) error {
		_, err := schema.DownTo(ctx, 0)
		return err
	})
}

// run calls migrate while it holds the lock, so that two programs that start together do not migrate, or grant, at once.
func run(ctx context.Context, url string, migrate func(*sql.DB, *goose.Provider) error) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("migrate: %w", err)
		}
	}()
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		// The cause may repeat the URL, password and all.
		return errors.New("the database's URL is neither a postgres:// URL nor a key=value string")
	}
	db := stdlib.OpenDB(*cfg)
	defer db.Close()
	sub, err := fs.Sub(files, "sql")
	if err != nil {
		return err
	}
	schema, err := goose.NewProvider(goose.DialectPostgres, db, sub,
		goose.WithTableName(VersionTable), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker(
		lock.WithLockID(lockID), lock.WithLockTimeout(1, lockTries), lock.WithUnlockTimeout(1, unlockTries))
	if err != nil {
		return err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := locker.SessionLock(ctx, conn); err != nil {
		return fmt.Errorf("another program migrates: %w", err)
	}
	defer func() {
		unlock, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockTries*time.Second)
		defer cancel()
		err = errors.Join(err, locker.SessionUnlock(unlock, conn))
	}()
	return migrate(db, schema)
}
