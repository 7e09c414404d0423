#!/bin/bash
# check-generated.sh BUILD COMMAND...: runs the build, which writes the generated files, and fails if that changed any
# committed file under include/, or left a new one there.
set -euo pipefail
cd "$(dirname "$0")/.."

state() {
	git status --porcelain --untracked-files=all -- include
	git diff -- include | sha256sum
}

before=$(state)
# The build script writes only when it runs, and it may not have a reason to.
touch build.rs
"$@"
after=$(state)
if [ "$before" != "$after" ]; then
	git --no-pager diff --stat -- include >&2
	git status --short -- include >&2
	echo "check-generated.sh: the build changed committed files; commit what it wrote" >&2
	exit 1
fi
