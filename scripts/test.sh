#!/usr/bin/env bash
# Runs all tests with the race detector; make test calls it beside the servers that they need. Arguments go to go test.
set -euo pipefail
go test -race -timeout 9m -json "${@:-./...}" | go run ./internal/testenv/cmd/testreport
