package migrations_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/migrations"
)

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// schema describes everything in the public schema, so that two states of it can be compared.
func schema(t *testing.T, conn *pgx.Conn) string {
	t.Helper()
	rows, err := conn.Query(t.Context(), `
		SELECT concat_ws(' ', table_name, column_name, data_type, collation_name, is_nullable, column_default)
		FROM information_schema.columns
		WHERE table_schema = 'public'
		UNION ALL
		SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
		UNION ALL
		SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
		UNION ALL
		SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
		UNION ALL
		SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
		UNION ALL
		SELECT concat_ws(' ', relname, relacl) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
		ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

func TestUpDownUp(t *testing.T) {
	owner := testenv.EmptyDatabase(t)
	up := func() {
		t.Helper()
		if err := migrations.Up(t.Context(), owner, "holdfast_app", ""); err != nil {
			t.Fatal(err)
		}
	}
	up()
	conn := connect(t, owner)
	first := schema(t, conn)
	var newest int
	if err := conn.QueryRow(t.Context(), `SELECT max(version_id) FROM schema_version`).Scan(&newest); err != nil || newest != migrations.Newest {
		t.Errorf("the newest migration is %d (%v), migrations.Newest says %d", newest, err, migrations.Newest)
	}
	var version string
	if err := conn.QueryRow(t.Context(), `SELECT substr(epoch::text, 15, 1) FROM head`).Scan(&version); err != nil || version != "7" {
		t.Errorf("the first epoch is a UUID of version %s (%v), want 7", version, err)
	}
	up() // again does no harm
	if err := migrations.Down(t.Context(), owner); err != nil {
		t.Fatal(err)
	}
	left := schema(t, conn)
	for _, table := range []string{"events", "head", "receipts", "term", "tiles", "checkpoint"} {
		if strings.Contains(left, table) {
			t.Errorf("down leaves %s behind:\n%s", table, left)
		}
	}
	up()
	if again := schema(t, conn); again != first {
		t.Errorf("up, down, up is not up:\n%s\n\n%s", first, again)
	}
}

func TestConcurrentUps(t *testing.T) {
	owner := testenv.EmptyDatabase(t)
	var ups sync.WaitGroup
	for range 3 {
		ups.Go(func() {
			if err := migrations.Up(t.Context(), owner, "holdfast_app", ""); err != nil {
				t.Error(err)
			}
		})
	}
	ups.Wait()
}

// A role's name and password may hold anything; the next Up may name another role.
func TestRoles(t *testing.T) {
	server, owner, _ := testenv.PostgresServer(t)
	const name, password = `o"dd 'name`, `p'ä"ss\word`
	for _, role := range []string{name, "second"} {
		if err := migrations.Up(t.Context(), owner, role, password); err != nil {
			t.Fatal(err)
		}
		cfg, err := pgx.ParseConfig(owner)
		if err != nil {
			t.Fatal(err)
		}
		cfg.User, cfg.Password = role, password
		conn, err := pgx.ConnectConfig(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), `SELECT FROM events`); err != nil {
			t.Errorf("role %q: %v", role, err)
		}
		conn.Close(t.Context())
		var verifier string
		err = connect(t, server.URL).QueryRow(t.Context(), `SELECT rolpassword FROM pg_authid WHERE rolname = $1`, role).Scan(&verifier)
		if err != nil || !strings.HasPrefix(verifier, "SCRAM-SHA-256$4096:") {
			t.Errorf("role %q: its password is not stored as a verifier (%v)", role, err)
		}
	}
	if err := migrations.Up(t.Context(), owner, "", ""); err == nil {
		t.Error("no role's name was accepted")
	}
}

// TestMastersAreRefused: a role that could change events is not the application's, but the schema is there.
func TestMastersAreRefused(t *testing.T) {
	t.Parallel()
	owner := testenv.EmptyDatabase(t)
	var self string
	conn := connect(t, owner)
	if err := conn.QueryRow(t.Context(), "SELECT current_user").Scan(&self); err != nil {
		t.Fatal(err)
	}
	for _, role := range []string{self, "postgres"} {
		err := migrations.Up(t.Context(), owner, role, "")
		if err == nil || !strings.Contains(err.Error(), "could change them") {
			t.Errorf("the application's role is %s: %v", role, err)
		}
	}
	if err := migrations.Up(t.Context(), owner, "holdfast_app", ""); err != nil {
		t.Fatal(err)
	}
}

func TestURLStaysSecret(t *testing.T) {
	for _, url := range []string{"postgres://ann:secret@host:port:1/db", "postgres://ann:secret@127.0.0.1:1/db"} {
		err := migrations.Up(t.Context(), url, "app", "")
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v, want an error without the password", err)
		}
	}
}

// What the application may and may not do, statement by statement.
func TestPrivileges(t *testing.T) {
	ownerURL, appURL := testenv.Database(t)
	owner, app := connect(t, ownerURL), connect(t, appURL)
	const event = `(position, namespace, revision, type, data, actor, reason, at) VALUES (1, 'a', 1, 'namespace.created.v1', '{}', 'x', '', now())`
	for _, may := range []string{
		`INSERT INTO events ` + event,
		`SELECT * FROM events`,
		`SELECT * FROM head FOR UPDATE`,
		`UPDATE head SET position = 1, at = now()`,
		`INSERT INTO receipts VALUES ('p', 'k', sha256(''), 'a', 1, 1, 1, now())`,
		`SELECT * FROM receipts`,
		`DELETE FROM receipts`,
		`UPDATE term SET term = term + 1 RETURNING term`,
		`INSERT INTO tiles VALUES (0, 0, sha256('')) ON CONFLICT (level, n) DO UPDATE SET hashes = excluded.hashes`,
		`UPDATE checkpoint SET size = 1, note = 'x' WHERE size = 0`,
		`SELECT * FROM tiles, checkpoint`,
		`SELECT * FROM schema_version`,
	} {
		if _, err := app.Exec(t.Context(), may); err != nil {
			t.Errorf("%s: %v", may, err)
		}
	}
	const denied = "42501"
	for _, mayNot := range []string{
		`UPDATE events SET reason = 'x'`,
		`DELETE FROM events`,
		`TRUNCATE events`,
		`DROP TABLE events`,
		`ALTER TABLE events ADD COLUMN x int`,
		`ALTER TABLE events DISABLE TRIGGER ALL`,
		`CREATE RULE r AS ON INSERT TO events DO INSTEAD NOTHING`,
		`DROP INDEX events_values`,
		`UPDATE head SET epoch = gen_random_uuid()`,
		`INSERT INTO head DEFAULT VALUES`,
		`DELETE FROM head`,
		`UPDATE receipts SET revision = 2`,
		`DELETE FROM term`,
		`DELETE FROM tiles`,
		`INSERT INTO checkpoint DEFAULT VALUES`,
		`DELETE FROM checkpoint`,
		`UPDATE schema_version SET version_id = 7`,
		`CREATE ROLE other`,
	} {
		_, err := app.Exec(t.Context(), mayNot)
		if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != denied {
			t.Errorf("the application: %s: got %v, want it denied", mayNot, err)
		}
	}
	const refused = "55000"
	for _, slip := range []string{
		`UPDATE events SET reason = 'x'`,
		`DELETE FROM events`,
		`TRUNCATE events`,
		`INSERT INTO events ` + event + ` ON CONFLICT (position) DO UPDATE SET reason = 'x'`,
	} {
		_, err := owner.Exec(t.Context(), slip)
		if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != refused {
			t.Errorf("the owner: %s: got %v, want it refused", slip, err)
		}
	}
	for _, broken := range []string{
		`INSERT INTO events ` + event,                                   // the same position
		`INSERT INTO events ` + strings.Replace(event, "(1,", "(2,", 1), // the same namespace
		`INSERT INTO events ` + strings.Replace(event, "(1, 'a'", "(0, 'b'", 1),
	} {
		if _, err := app.Exec(t.Context(), broken); err == nil {
			t.Errorf("%s was accepted", broken)
		}
	}
}
