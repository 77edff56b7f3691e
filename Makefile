# make help lists what there is. What CI runs is .ci/run: make check, then make test.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup build fmt test bench check gofmt vet staticcheck vulncheck architecture migrations

# The tools' versions are pinned beside the scripts, apart from what the module itself depends on.
tool := go tool -modfile=scripts/tools.mod

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what the tests need, where the package manager may
	@scripts/setup.sh

build: ## Build the programs into bin/
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/...

fmt: ## Format all Go code
	gofmt -w .

test: setup ## Run all tests, with -race, against a real Postgres and Redis started for the run
	@go run ./internal/testenv/cmd/testenv scripts/test.sh

bench: ## Measure against limits and peers (pgbench, etcd); takes minutes
	@scripts/setup.sh bench
	cd bench && go run .

check: gofmt vet staticcheck vulncheck architecture migrations ## Everything that CI checks before the tests

gofmt: ## Fail on code that is not formatted
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not formatted (run make fmt):"; echo "$$unformatted"; exit 1; fi

vet: ## go vet, bench/ too
	go vet ./...
	if [ -e bench/go.mod ]; then cd bench && go vet ./...; fi

staticcheck: ## Static analysis
	$(tool) staticcheck ./...

vulncheck: ## Known vulnerabilities, where the database can be reached
	@scripts/vulncheck.sh

architecture: ## Packages import what docs/ARCHITECTURE.md allows, and nothing else
	go test -count=1 ./internal/architecture

migrations: setup ## The schema goes up, down and up again
	@scripts/named-test.sh ./migrations TestUpDownUp
