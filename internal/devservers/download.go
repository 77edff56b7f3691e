package devservers

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// downloaded is the version that is fetched where none is installed.
const downloaded = embeddedpostgres.V18

// download returns the directory of downloaded Postgres binaries, fetching them the first time.
func download(ctx context.Context, log *slog.Logger) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	home := filepath.Join(cache, "postgres-"+string(downloaded))
	bin := filepath.Join(home, "bin")
	if _, err := binaryVersion(ctx, bin); err == nil {
		return bin, nil
	}
	log.Info("no postgres on this machine: downloading it", "version", string(downloaded), "to", home)
	if err := fetch(ctx, cache, home, "https://repo1.maven.org/maven2"); err != nil {
		return "", fmt.Errorf("no postgres on this machine (install it, or name a running one), and downloading it: %w", err)
	}
	return bin, nil
}

// cacheDir is where downloads are kept. Root's own cache is out of reach of the account that will run them.
func cacheDir() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/cache/holdfast", nil
	}
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "holdfast"), err
}

// fetch downloads the binaries into home, whole or not at all. The library has no other way to say it than to start a
// server; whether that works, as it can not for root, does not matter once the binaries are there.
func fetch(ctx context.Context, cache, home, repository string) error {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(cache, "fetching-")
	if err != nil {
		return err
	}
	if err := os.Chmod(work, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(work)
	port, err := freePort()
	if err != nil {
		return err
	}
	unpacked := filepath.Join(work, "unpacked")
	server := embeddedpostgres.NewDatabase(embeddedpostgres.DefaultConfig().
		Version(downloaded).
		BinaryRepositoryURL(repository).
		CachePath(filepath.Join(work, "archive")).
		BinariesPath(unpacked).
		RuntimePath(filepath.Join(work, "run")).
		Port(uint32(port)).
		Logger(io.Discard))
	done := make(chan error, 1) // the library knows no context
	go func() {
		err := server.Start()
		if err == nil {
			err = server.Stop()
		}
		done <- err
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err = <-done:
	}
	if _, missing := binaryVersion(ctx, filepath.Join(unpacked, "bin")); missing != nil {
		if err == nil {
			err = missing
		}
		return err
	}
	if err := os.RemoveAll(home); err != nil {
		return err
	}
	return os.Rename(unpacked, home)
}

// freePort returns a port of the loopback that is free at the moment.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
