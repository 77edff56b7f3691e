package testenv

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain: what this package starts for a test must not look like a leak of the test's own.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
