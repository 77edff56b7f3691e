package testenv

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestDatabase(t *testing.T) {
	owner, app := Database(t)
	if got := ask(t, owner, "SELECT current_user::text"); got != ownerRole {
		t.Errorf("owner connects as %s", got)
	}
	if got := ask(t, owner, "SELECT rolsuper::text FROM pg_roles WHERE rolname = current_user"); got != "false" {
		t.Error("the owner is a superuser: nothing would be refused to it")
	}
	if got := ask(t, app, "SELECT position::text FROM head"); got != "0" {
		t.Errorf("the head of a fresh log is at %s", got)
	}
	err := query(t, app, "DELETE FROM head")
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Code != "42501" {
		t.Errorf("the application may delete: %v", err)
	}
}

func TestDatabasesAreApart(t *testing.T) {
	_, one := Database(t)
	_, two := Database(t)
	if err := query(t, one, "UPDATE head SET position = 7"); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, two, "SELECT position::text FROM head"); got != "0" {
		t.Errorf("a change in one database shows in another: %s", got)
	}
	const epoch = "SELECT epoch::text FROM head"
	if ask(t, one, epoch) == ask(t, two, epoch) {
		t.Error("two databases have the same epoch, as if they were one history")
	}
}

func TestEmptyDatabase(t *testing.T) {
	owner := EmptyDatabase(t)
	if got := ask(t, owner, "SELECT count(*)::text FROM pg_tables WHERE schemaname = 'public'"); got != "0" {
		t.Errorf("there are %s tables", got)
	}
	if err := query(t, owner, "CREATE TABLE mine ()"); err != nil {
		t.Error(err)
	}
}

func TestDatabaseIsDroppedInUse(t *testing.T) {
	var name string
	t.Run("inner", func(t *testing.T) {
		owner, _ := Database(t)
		name = ask(t, owner, "SELECT current_database()::text")
		conn, err := pgx.Connect(context.Background(), owner)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(context.Background()) })
	})
	server, err := sharedPostgres()
	if err != nil {
		t.Fatal(err)
	}
	if got := ask(t, server, "SELECT count(*)::text FROM pg_database WHERE datname = '"+name+"'"); got != "0" {
		t.Error("the database is still there")
	}
}

// TestTemplateOnce: several test binaries ask for the template of a fresh server at the same moment.
func TestTemplateOnce(t *testing.T) {
	server, _, _ := PostgresServer(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if _, err := template(server.URL); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := ask(t, server.URL, "SELECT count(*)::text FROM pg_database WHERE datname LIKE 'holdfast_template%'"); got != "1" {
		t.Errorf("there are %s templates", got)
	}
}

// TestCommand runs a command beside the servers of a run, as make test does.
func TestCommand(t *testing.T) {
	out, err := exec.Command("go", "run", "./cmd/testenv", "sh", "-c", `echo "$`+PostgresVariable+` $`+RedisVariable+`"; exit 3`).Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(string(exit.Stderr), "exit status 3") {
		t.Errorf("the exit code is lost: %v", err)
	}
	urls := strings.Fields(string(out))
	if len(urls) != 2 || !strings.HasPrefix(urls[0], "postgres://") || !strings.HasPrefix(urls[1], "redis://") {
		t.Fatalf("the command was told %q", out)
	}
	if _, err := pgx.Connect(t.Context(), urls[0]); err == nil {
		t.Error("the server outlived the command")
	}
}

func TestMigrationsHash(t *testing.T) {
	hash, err := migrationsHash()
	if err != nil || len(hash) != 12 {
		t.Fatalf("got %q, %v", hash, err)
	}
	t.Chdir(os.TempDir())
	if _, err := migrationsHash(); err == nil {
		t.Error("found migrations where there are none")
	}
}

func ask(t *testing.T, url, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var answer string
	if err := conn.QueryRow(t.Context(), sql).Scan(&answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

func query(t *testing.T, url, sql string) error {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), sql)
	return err
}

func TestLog(t *testing.T) {
	head, err := Log(t).Head(t.Context())
	if err != nil || head.Position != 0 || head.Epoch == "" {
		t.Errorf("got %+v, %v; want the head of an empty log", head, err)
	}
}
