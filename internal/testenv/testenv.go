// Package testenv gives every test a database and a Redis of its own, from servers that the test binary, or make test,
// started once. Real servers, never mocks; nothing is skipped: without them a test fails and says what to install.
package testenv

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/eventlog"
)

// Database returns connection URLs, as owner and as the application's role, of a fresh database with the newest schema,
// cloned from a template (about 0.1 s), dropped when the test ends.
func Database(t testing.TB) (owner, app string) { panic("unwritten") }

// EmptyDatabase is Database without any schema.
func EmptyDatabase(t testing.TB) (owner string) { panic("unwritten") }

// Log opens a log on a fresh database, closed when the test ends.
func Log(t testing.TB) *eventlog.Log { panic("unwritten") }

// Redis returns the URL of an empty Redis that no other test uses, and a client on it: a whole server process of the
// test's own where faults are injected (see RedisServer), else a database number of a shared server.
func Redis(t testing.TB) (url string, client *redis.Client) { panic("unwritten") }

// Server is a server process that a test may torment.
type Server struct{ URL string }

// RedisServer starts a Redis process for this test alone.
func RedisServer(t testing.TB) *Server { panic("unwritten") }

// Kill ends the process at once (SIGKILL); Start starts it again on the same port, empty unless it saved.
func (s *Server) Kill()  { panic("unwritten") }
func (s *Server) Start() { panic("unwritten") }

// Stop and Continue send SIGSTOP and SIGCONT.
func (s *Server) Stop()     { panic("unwritten") }
func (s *Server) Continue() { panic("unwritten") }

// Eventually waits until ok returns true, and fails the test with what after 20 s. It polls without holding a core.
func Eventually(t testing.TB, what string, ok func() bool) { panic("unwritten") }
