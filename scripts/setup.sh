#!/usr/bin/env bash
# Installs what the tests need and is not here: Postgres, Redis, and what the race detector and the tests call; with the
# argument "bench" also etcd, the peer that make bench measures against (pgbench comes with Postgres). On Debian and
# Ubuntu with apt-get, as root or where sudo asks for no password; on macOS with Homebrew. Elsewhere it says what to
# install. What is here already is left alone.
set -euo pipefail

has() { command -v "$1" >/dev/null 2>&1; }

has_postgres() {
	has postgres && has initdb && return
	has pg_config && [ -x "$(pg_config --bindir)/initdb" ] && [ -x "$(pg_config --bindir)/postgres" ] && return
	local server
	for server in /usr/lib/postgresql/*/bin/initdb /usr/pgsql-*/bin/initdb /opt/homebrew/opt/postgresql*/bin/initdb \
		/usr/local/opt/postgresql*/bin/initdb /Applications/Postgres.app/Contents/Versions/*/bin/initdb; do
		[ -x "$server" ] && return
	done
	return 1
}

has go || { echo "install Go 1.26 or newer: https://go.dev/dl/" >&2; exit 1; }

apt=() brew=()
has_postgres || { apt+=(postgresql) brew+=(postgresql@18); }
has redis-server || has valkey-server || { apt+=(redis-server) brew+=(redis); }
has cc || has gcc || apt+=(gcc libc6-dev) # for the race detector
has ps || apt+=(procps)
has python3 || { apt+=(python3) brew+=(python); } # runs the recipe of docs/audit.md
if [ "${1:-}" = bench ]; then
	has etcd || { apt+=(etcd-server) brew+=(etcd); }
fi

[ ${#apt[@]} -gt 0 ] || exit 0

if [ "$(uname)" = Darwin ]; then
	if ! has cc; then
		echo "install the command line tools: xcode-select --install" >&2
		exit 1
	fi
	if has brew; then
		echo "installing ${brew[*]}"
		exec brew install --quiet "${brew[@]}"
	fi
	echo "install Homebrew (https://brew.sh), or yourself: ${brew[*]}" >&2
	exit 1
fi

root=()
if [ "$(id -u)" != 0 ]; then
	root=(sudo -n)
	if ! { has sudo && sudo -n true 2>/dev/null; }; then
		echo "missing: ${apt[*]}. As root: apt-get install ${apt[*]}" >&2
		exit 1
	fi
fi
if ! has apt-get; then
	echo "missing, under the names they have in Debian: ${apt[*]}. Install them with this system's package manager" >&2
	exit 1
fi
echo "installing ${apt[*]}"
"${root[@]}" apt-get update -qq
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${apt[@]}" >/dev/null
