package testenv

import (
	"fmt"
	"slices"
	"testing"
)

// Example stands in for the testing.TB that an example does not have, for the functions of this package: what would fail a
// test panics. What they would clean up when a test ends is cleaned up by end.
func Example() (t testing.TB, end func()) {
	e := &example{}
	return e, func() {
		for _, clean := range slices.Backward(e.cleanups) {
			clean()
		}
	}
}

type example struct {
	testing.TB // nil: what is not below is not used here
	cleanups   []func()
}

func (*example) Helper()                           {}
func (e *example) Cleanup(fn func())               { e.cleanups = append(e.cleanups, fn) }
func (*example) Error(args ...any)                 { panic(fmt.Sprint(args...)) }
func (*example) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
func (*example) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
