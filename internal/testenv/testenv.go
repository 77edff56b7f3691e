// Package testenv gives every test a database and a Redis of its own, from servers that the test binary, or make test,
// started once. Real servers, never mocks; nothing is skipped: without them a test fails and says what to install.
//
// The servers of a run are named by HOLDFAST_TEST_POSTGRES (as superuser) and HOLDFAST_TEST_REDIS (with --databases
// 4096). Where these are empty, a test binary starts its own when the first test asks, and they end with the process.
// Tests that torment a server start one for themselves: [RedisServer], [PostgresServer]; [Proxy] torments only the network.
package testenv

import (
	"context"
	"testing"
	"time"

	"github.com/holdfast-config/holdfast/eventlog"
)

// limit bounds every step of preparing and cleaning up.
const limit = time.Minute

// Log opens a log on a fresh database, closed when the test ends.
func Log(t testing.TB) *eventlog.Log {
	t.Helper()
	_, app := Database(t)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	log, err := eventlog.Open(ctx, eventlog.Config{URL: app})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	return log
}

// Eventually waits until ok returns true, and fails the test with what after 20 s. It polls without holding a core.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for pause := time.Millisecond; !ok(); pause = min(2*pause, 50*time.Millisecond) {
		select {
		case <-deadline.C:
			t.Fatalf("not within 20 s: %s", what)
		case <-time.After(pause):
		}
	}
}
