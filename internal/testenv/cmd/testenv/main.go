// Command testenv runs another command beside the servers that tests need, started once for all test binaries:
//
//	go run ./internal/testenv/cmd/testenv go test ./...
//
// It exits with the command's exit code. The servers end with it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/holdfast-config/holdfast/internal/testenv"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		os.Exit(max(exit.ExitCode(), 1)) // -1: ended by a signal
	case err != nil:
		fmt.Fprintln(os.Stderr, "testenv:", err)
		os.Exit(1)
	}
}

// run starts the servers, runs the command, and ends the servers.
func run(ctx context.Context, args []string) (err error) {
	if len(args) == 0 {
		return errors.New("name the command to run, with its arguments")
	}
	postgres, err := testenv.StartPostgres(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, postgres.Close()) }()
	redis, err := testenv.StartRedis(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, redis.Close()) }()
	fmt.Fprintf(os.Stderr, "testing with postgres %s and %s\n", postgres.Version, redis.Server)

	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), testenv.PostgresVariable+"="+postgres.URL, testenv.RedisVariable+"="+redis.URL)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	return cmd.Run()
}
