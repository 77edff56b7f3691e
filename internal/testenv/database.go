package testenv

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-config/holdfast/migrations"
)

// The roles of every test database: the owner may make roles and nothing else that an application may not.
const (
	ownerRole = "holdfast_owner"
	appRole   = "holdfast_app"
	password  = "for tests" // asked for only by servers that are not ours
)

// Database returns connection URLs, as owner and as the application's role, of a fresh database with the newest schema,
// cloned from a template (about 0.1 s), dropped when the test ends.
func Database(t testing.TB) (owner, app string) {
	t.Helper()
	server := postgresURL(t)
	from, err := sharedTemplate()
	if err != nil {
		t.Fatal(err)
	}
	name := create(t, server, from)
	owner, app = as(server, ownerRole, name), as(server, appRole, name)
	if err := execute(owner, "UPDATE head SET epoch = gen_random_uuid()"); err != nil { // the template's is everyone's
		t.Fatal(err)
	}
	return owner, app
}

// EmptyDatabase is Database without any schema.
func EmptyDatabase(t testing.TB) (owner string) {
	t.Helper()
	server := postgresURL(t)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := withLock(ctx, server, makeOwner); err != nil {
		t.Fatal(err)
	}
	return as(server, ownerRole, create(t, server, "template0"))
}

func postgresURL(t testing.TB) string {
	t.Helper()
	server, err := sharedPostgres()
	if err != nil {
		t.Fatalf("this test needs postgres: run scripts/setup.sh, or name a server by %s: %v", PostgresVariable, err)
	}
	return server
}

// create makes a database from a template and drops it when the test ends.
func create(t testing.TB, server, from string) string {
	t.Helper()
	name := "test_" + strings.ToLower(rand.Text())
	// Where nothing waits for the disk, copying the files takes half as long as writing the copy to the WAL.
	err := execute(server, fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s OWNER %s STRATEGY FILE_COPY", name, from, ownerRole))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := execute(server, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return name
}

// execute runs one statement on a connection of its own: an idle pool would be a goroutine that a test finds leaking.
func execute(server, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return withConn(ctx, server, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, statement)
		return err
	})
}

func withConn(ctx context.Context, server string, do func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return do(conn)
}

// as returns the server's URL for another role and database.
func as(server, role, database string) string {
	u, err := url.Parse(server)
	if err != nil || u.Scheme == "" {
		panic("testenv: " + PostgresVariable + " is not a postgres:// URL")
	}
	u.User = url.UserPassword(role, password)
	u.Path = "/" + database
	return u.String()
}

// sharedTemplate returns the name of the migrated template on the shared server.
var sharedTemplate = sync.OnceValues(func() (string, error) {
	server, err := sharedPostgres()
	if err != nil {
		return "", err
	}
	return template(server)
})

// template returns the name of the migrated template on a server, making it the first time. Several test binaries may
// ask at once; its name carries a hash of the migrations, since a server may outlive them.
func template(server string) (string, error) {
	hash, err := migrationsHash()
	if err != nil {
		return "", err
	}
	name := "holdfast_template_" + hash
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	err = withLock(ctx, server, func(ctx context.Context, conn *pgx.Conn) error {
		var made bool
		err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&made)
		if err != nil || made {
			return err
		}
		if err := makeOwner(ctx, conn); err != nil {
			return err
		}
		making := name + "_making" // renamed when whole
		return inOrder(
			sql(ctx, conn, "DROP DATABASE IF EXISTS "+making+" WITH (FORCE)"),
			sql(ctx, conn, "CREATE DATABASE "+making+" OWNER "+ownerRole),
			func() error { return migrations.Up(ctx, as(server, ownerRole, making), appRole, password) },
			sql(ctx, conn, "ALTER DATABASE "+making+" RENAME TO "+name),
			sql(ctx, conn, "ALTER DATABASE "+name+" ALLOW_CONNECTIONS false"), // a template in use can not be cloned
		)
	})
	return name, err
}

// sql is a step that executes a statement.
func sql(ctx context.Context, conn *pgx.Conn, statement string) func() error {
	return func() error {
		_, err := conn.Exec(ctx, statement)
		return err
	}
}

func inOrder(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// withLock runs do while no other test binary is inside it on the same server.
func withLock(ctx context.Context, server string, do func(context.Context, *pgx.Conn) error) error {
	return withConn(ctx, server, func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock(hashtext('holdfast testenv'))"); err != nil {
			return err
		}
		return do(ctx, conn) // the lock ends with the connection
	})
}

func makeOwner(ctx context.Context, conn *pgx.Conn) error {
	var made bool
	err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", ownerRole).Scan(&made)
	if err != nil || made {
		return err
	}
	_, err = conn.Exec(ctx, "CREATE ROLE "+ownerRole+" LOGIN CREATEROLE PASSWORD '"+password+"'")
	return err
}

// migrationsHash changes with whatever stands in migrations/.
func migrationsHash() (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	tree := os.DirFS(filepath.Join(root, "migrations"))
	err = fs.WalkDir(tree, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(tree, path)
		fmt.Fprintf(h, "%s %d\n%s", path, len(data), data)
		return err
	})
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil))[:12], nil
}

// moduleRoot is above the directory of the package under test, which is where go test runs it.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "migrations", "migrations.go")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("migrations/ is in no directory above this one")
		}
		dir = filepath.Dir(dir)
	}
}
