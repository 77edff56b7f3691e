#!/usr/bin/env bash
# named-test.sh PACKAGE TEST runs one test by name, and fails if there is no such test: go test alone would be content.
set -euo pipefail
package=$1 name=$2
output=$(go test -count=1 -v -run "^$name\$" "$package") || { echo "$output"; exit 1; }
if ! grep -q -- "^--- PASS: $name " <<<"$output"; then
	echo "$output"
	echo "$package has no test $name that passes" >&2
	exit 1
fi
tail -n 1 <<<"$output"
