package migrations

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/text/secure/precis"
)

// createRole makes the role unless it is there. Roles belong to the server, the lock to the database: two programs that
// migrate two databases may both find it missing, and the second is told that it is there now.
func createRole(ctx context.Context, db *sql.DB, name, password string) error {
	var exists bool
	err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)`, name).Scan(&exists)
	if err != nil || exists {
		return err
	}
	create := `CREATE ROLE ` + pgx.Identifier{name}.Sanitize() + ` LOGIN`
	if password != "" {
		verifier, err := scramVerifier(password)
		if err != nil {
			return err
		}
		create += ` PASSWORD '` + verifier + `'`
	}
	_, err = db.ExecContext(ctx, create)
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && (pgErr.Code == duplicateObject || pgErr.Code == uniqueViolation) {
		return nil
	}
	return err
}

// SQLSTATEs of CREATE ROLE for a role that is there, or that another transaction is making.
const (
	duplicateObject = "42710"
	uniqueViolation = "23505"
)

// refuseMaster refuses a role that could change events whatever it is granted: the application must not be able to.
func refuseMaster(ctx context.Context, db *sql.DB, role string) error {
	var master bool
	err := db.QueryRowContext(ctx, `
		SELECT r.rolsuper OR pg_has_role(r.oid, c.relowner, 'MEMBER')
		FROM pg_roles r, pg_class c
		WHERE r.rolname = $1 AND c.oid = 'events'::regclass`, role).Scan(&master)
	if err == nil && master {
		return errors.New("is a superuser, or owns the events, and so could change them; name another role for the application")
	}
	return err
}

// grant gives the role what the log needs and nothing more: it can not change or delete an event. It repeats what may be
// granted already, so that a new role's name works on an old database.
func grant(ctx context.Context, db *sql.DB, role string) error {
	role = pgx.Identifier{role}.Sanitize()
	_, err := db.ExecContext(ctx, `
		GRANT SELECT, INSERT ON events TO `+role+`;
		GRANT SELECT, UPDATE (position, at) ON head TO `+role+`;
		GRANT SELECT, INSERT, DELETE ON receipts TO `+role+`;
		GRANT SELECT, UPDATE (term) ON term TO `+role+`;
		GRANT SELECT, INSERT, UPDATE (hashes) ON tiles TO `+role+`;
		GRANT SELECT, UPDATE (size, note) ON checkpoint TO `+role+`;
		GRANT SELECT ON `+VersionTable+` TO `+role)
	return err
}

// scramVerifier is what Postgres stores of a password (RFC 5803), so that the password itself is not in a statement,
// and not in the server's log of statements.
func scramVerifier(password string) (string, error) {
	const iterations = 4096 // what Postgres itself uses
	salt := make([]byte, 16)
	rand.Read(salt)
	if prepared, err := precis.OpaqueString.String(password); err == nil {
		password = prepared // clients do the same; a password that can not be prepared is used as it is
	}
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return "", err
	}
	stored := sha256.Sum256(mac(salted, "Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, b64(salt), b64(stored[:]), b64(mac(salted, "Server Key"))), nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
