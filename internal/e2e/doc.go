// Package e2e holds no code: its tests run the real programs as processes of their own, over a real Postgres and a real
// Redis, break one part at a time under a load of changes, and then hold every reader and every view against a fold of
// the log.
package e2e
