package eventlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/migrations"
)

// Config configures a [Log]. Its zero value works, but for URL.
type Config struct {
	URL        string        // postgres:// URL or key=value string of the application's role
	Logger     *slog.Logger  // default: slog.Default
	PoolSize   int           // connections for reads; default 8. The appender, each Tail and each Lead have one of their own
	Timeout    time.Duration // for one transaction or read, six times that to load a tree; default 10 s
	Poll       time.Duration // how often Tail looks without a hint; default 1 s
	MaxWaiting int           // change sets that may wait; more are ErrBusy; default 4096
	CacheKeys  int           // keys of folded trees kept in memory; default 1,000,000
}

func (cfg Config) withDefaults() Config {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	for _, d := range []struct {
		field *int
		value int
	}{{&cfg.PoolSize, 8}, {&cfg.MaxWaiting, 4096}, {&cfg.CacheKeys, 1_000_000}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Poll <= 0 {
		cfg.Poll = time.Second
	}
	return cfg
}

// Log is the log of events. Its methods may be called concurrently.
type Log struct {
	cfg      Config
	pool     *pgxpool.Pool
	appender *appender
	feed     feed               // from the appender to the tails of this process
	looks    looks              // at the head, for those that await a position
	life     context.Context    // of what runs in the background
	stop     context.CancelFunc // ends it
	running  sync.WaitGroup
}

// Open connects, checks that the schema is the one this program needs (else the error says to run the migrations), and
// starts the appender. Close ends it.
func Open(ctx context.Context, cfg Config) (*Log, error) {
	cfg = cfg.withDefaults()
	pc, err := poolConfig(cfg)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, err
	}
	l := &Log{cfg: cfg, pool: pool}
	if err := l.checkSchema(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("open log: %w", err)
	}
	l.appender = newAppender(l)
	l.life, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	l.running.Go(l.appender.run)
	l.running.Go(func() { l.pruneHourly(l.life) })
	return l, nil
}

// poolConfig is how every connection of the log is made.
func poolConfig(cfg Config) (*pgxpool.Config, error) {
	pc, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		// The cause may repeat the URL, password and all.
		return nil, errors.New("open log: the database's URL is neither a postgres:// URL nor a key=value string")
	}
	pc.MaxConns = int32(cfg.PoolSize)
	pc.PingTimeout = cfg.Timeout
	cc := pc.ConnConfig
	if cc.ConnectTimeout == 0 || cc.ConnectTimeout > cfg.Timeout {
		cc.ConnectTimeout = cfg.Timeout
	}
	if cc.ValidateConnect == nil {
		cc.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite // never a replica
	}
	// A process that is stopped while it holds the head row's lock must not stop the others.
	for name, value := range map[string]string{
		"statement_timeout":                   serverPatience(cfg.Timeout),
		"idle_in_transaction_session_timeout": strconv.FormatInt((cfg.Timeout / 2).Milliseconds(), 10),
		"default_transaction_isolation":       "read committed",
		// Every read here is meant to follow an index, whether the table has statistics or not.
		"enable_seqscan": "off",
		"jit":            "off",
	} {
		cc.RuntimeParams[name] = value
	}
	if cc.RuntimeParams["application_name"] == "" {
		cc.RuntimeParams["application_name"] = "holdfast"
	}
	return pc, nil
}

// serverPatience is the statement_timeout where we wait for so long: the server gives up first, so that its answer, and not
// silence, says that nothing was stored.
func serverPatience(ours time.Duration) string {
	return strconv.FormatInt((ours * 4 / 5).Milliseconds(), 10)
}

func (l *Log) checkSchema(ctx context.Context) error {
	var version int64
	err := l.read(ctx, func(ctx context.Context) error {
		return l.pool.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM `+migrations.VersionTable).Scan(&version)
	})
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == undefinedTable {
		err = nil
	}
	switch {
	case err != nil:
		return err
	case version < migrations.Newest:
		return fmt.Errorf("the database's schema has version %d, this program needs %d: run the migrations (holdfast migrate)", version, migrations.Newest)
	case version > migrations.Newest:
		return fmt.Errorf("the database's schema has version %d, this program knows %d: upgrade the program", version, migrations.Newest)
	}
	return nil
}

// Close refuses new change sets with ErrBusy, waits for the batch under way and closes all connections. Tail and Lead
// end with their contexts: end those first.
func (l *Log) Close() {
	l.appender.close()
	l.stop()
	l.running.Wait()
	l.pool.Close()
}

// Ping reports whether Postgres answers.
func (l *Log) Ping(ctx context.Context) error {
	return l.read(ctx, l.pool.Ping)
}

// Head is where the log ends.
type Head struct {
	Epoch    string          // identity of this history, a UUID
	Position events.Position // of the last event; 0: none
	Time     time.Time       // of the last event; if there is none, when the log was made
}

const selectHead = `
	SELECT epoch::text, position, at
	FROM head`

func scanHead(row pgx.Row) (h Head, err error) {
	err = row.Scan(&h.Epoch, &h.Position, &h.Time)
	h.Time = h.Time.UTC()
	return h, err
}

// Head returns where the log ends now.
func (l *Log) Head(ctx context.Context) (h Head, err error) {
	err = l.read(ctx, func(ctx context.Context) (err error) {
		h, err = scanHead(l.pool.QueryRow(ctx, selectHead))
		return err
	})
	return h, err
}

// connect makes a connection of its own for a caller that keeps it.
func (l *Log) connect(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	return pgx.ConnectConfig(ctx, l.pool.Config().ConnConfig)
}

// disconnect closes conn without waiting long for a server that hangs.
func disconnect(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn.Close(ctx)
	select {
	case <-conn.PgConn().CleanupDone(): // its goroutines have ended
	case <-ctx.Done():
	}
}
