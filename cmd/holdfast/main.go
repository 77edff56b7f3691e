// Holdfast is the command line of the configuration store: it posts changes, reads settings and their definitions,
// watches them change, moves them in and out of files, and, with "holdfast dev", is the whole system in one process.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/redis/go-redis/v9/logging"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	logging.Disable()            // it would write over watch's output; what is wrong shows in the reader's and the projector's status
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}
