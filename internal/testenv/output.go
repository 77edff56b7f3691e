package testenv

import (
	"bytes"
	"sync"
)

// Output is what a program or a logger writes while a test reads it. The zero Output is empty and ready.
type Output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write appends b.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

// String returns what was written so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
