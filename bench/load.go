package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// closedLoop runs one goroutine a client, each doing op again and again for d, and returns operations a second. Each
// client's ops run one after the other.
func closedLoop(ctx context.Context, clients int, d time.Duration, op func(ctx context.Context, client int) error) (float64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var done atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, clients)
	start := time.Now()
	end := start.Add(d)
	for c := range clients {
		wg.Go(func() {
			for time.Now().Before(end) {
				if err := op(ctx, c); err != nil {
					errs <- err
					cancel()
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	close(errs)
	var all error
	for err := range errs {
		all = errors.Join(all, err)
	}
	return float64(done.Load()) / time.Since(start).Seconds(), all
}

// openLoop starts op at an even rate for d, whatever the earlier ones do, and waits for all. It returns the first error.
func openLoop(ctx context.Context, perSecond int, d time.Duration, op func(ctx context.Context, n int) error) error {
	var wg sync.WaitGroup
	var first atomic.Pointer[error]
	start := time.Now()
	total := int(d.Seconds() * float64(perSecond))
	for n := range total {
		due := start.Add(time.Duration(n) * time.Second / time.Duration(perSecond))
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
		}
		wg.Go(func() {
			if err := op(ctx, n); err != nil {
				first.CompareAndSwap(nil, &err)
			}
		})
	}
	wg.Wait()
	if err := first.Load(); err != nil {
		return *err
	}
	return nil
}
