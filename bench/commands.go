package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/holdfast-config/holdfast/commands"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
)

// measureCommands: durable commands a second in process, definitions and expectations checked, against what Postgres
// inserts row by row (pgbench) and what etcd puts.
func (b *bench) measureCommands(ctx context.Context) error {
	log, err := eventlog.Open(ctx, eventlog.Config{URL: b.system.database, Logger: quiet})
	if err != nil {
		return err
	}
	defer log.Close()
	clients := []int{1, 16, 64, 256}
	if err := b.defineOnce(ctx, log); err != nil {
		return err
	}
	mine, pg, put := map[int][]float64{}, map[int][]float64{}, map[int][]float64{}
	for range b.rounds {
		for _, c := range clients {
			b.progress("commands in process, %d clients", c)
			if err := addRate(mine, c)(b.appendLoop(ctx, log, c)); err != nil {
				return fmt.Errorf("append: %w", err)
			}
			if err := addRate(pg, c)(b.pgbench(ctx, c)); err != nil {
				return fmt.Errorf("pgbench: %w", err)
			}
			if err := addRate(put, c)(b.etcd.putLoop(ctx, c, etcdConnections, b.duration)); err != nil {
				return fmt.Errorf("etcd: %w", err)
			}
		}
	}
	for _, c := range clients {
		rate, insert, etcdPut := median(mine[c]), median(pg[c]), median(put[c])
		pgBound, etcdBound := 0.0, 0.0
		if c == 64 {
			pgBound, etcdBound = 1, 2
		}
		name := fmt.Sprintf("commands in process, %d clients", c)
		b.report.add(figure{name: name, value: perSecond(rate), peer: "pgbench insert " + perSecond(insert), ratio: rate / insert, bound: pgBound})
		b.report.add(figure{name: name, value: perSecond(rate), peer: "etcd put " + perSecond(etcdPut), ratio: rate / etcdPut, bound: etcdBound})
	}
	return nil
}

func addRate(into map[int][]float64, clients int) func(float64, error) error {
	return func(rate float64, err error) error {
		into[clients] = append(into[clients], rate)
		return err
	}
}

// defineOnce makes the bench namespace, and is called by whichever measurement comes first.
func (b *bench) defineOnce(ctx context.Context, log *eventlog.Log) error {
	if b.defined {
		return nil
	}
	b.defined = true
	return defineClients(ctx, log, 256)
}

// appendLoop lets every client set its own key, each time expecting the revision that it set last.
func (b *bench) appendLoop(ctx context.Context, log *eventlog.Log, clients int) (float64, error) {
	tree, err := log.Present(ctx, benchNS)
	if err != nil {
		return 0, err
	}
	last := make([]events.Revision, clients)
	for c := range last {
		if e, ok := tree.Effective(benchNS, clientKey(c)); ok && e.From == string(benchNS) {
			last[c] = e.Revision
		}
	}
	return closedLoop(ctx, clients, b.duration, func(ctx context.Context, c int) error {
		b.value.Add(1)
		got, err := post(ctx, log, commands.ChangeSet{Namespace: benchNS, Actor: "bench", Commands: []commands.Command{commands.Set{
			Key: clientKey(c), Value: events.Value(strconv.FormatInt(b.value.Load(), 10)), Expect: commands.Expect{Revision: &last[c]},
		}}})
		last[c] = got.Revision
		return err
	})
}

const pgbenchTable = `
	CREATE TABLE IF NOT EXISTS single (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text NOT NULL, value text NOT NULL);
`

const pgbenchInsert = "\\set n random(1, 1000000000)\nINSERT INTO single (key, value) VALUES ('client.setting', :n);\n"

var tps = regexp.MustCompile(`tps = ([0-9.]+) \(without initial connection time\)`)

// pgbench measures single-row inserts, each a transaction of its own, with prepared statements.
func (b *bench) pgbench(ctx context.Context, clients int) (float64, error) {
	script := filepath.Join(b.system.dir, "insert.sql")
	if err := os.WriteFile(script, []byte(pgbenchInsert), 0o644); err != nil {
		return 0, err
	}
	bin, err := pgbenchPath()
	if err != nil {
		return 0, err
	}
	out, err := exec.CommandContext(ctx, bin, "-n", "-M", "prepared", "-f", script, "-c", strconv.Itoa(clients), "-j", strconv.Itoa(min(clients, 2)),
		"-T", strconv.Itoa(int(max(b.duration, time.Second)/time.Second)), b.system.postgres.URL).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	m := tps.FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("no rate in the output: %s", out)
	}
	return strconv.ParseFloat(string(m[1]), 64)
}

func pgbenchPath() (string, error) {
	if bin, err := exec.LookPath("pgbench"); err == nil {
		return bin, nil
	}
	var found []string
	for _, dir := range []string{"/usr/local/opt/postgresql*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/lib/postgresql/*/bin"} {
		here, _ := filepath.Glob(filepath.Join(dir, "pgbench"))
		found = append(found, here...)
	}
	if len(found) == 0 {
		return "", errors.New("pgbench is not installed; it comes with Postgres (Debian: apt-get install postgresql; elsewhere it may be in postgresql-contrib)")
	}
	return found[len(found)-1], nil
}

func perSecond(rate float64) string { return fmt.Sprintf("%.0f/s", rate) }
