#!/bin/sh
# Builds a release into a folder: build.sh TAG FOLDER. The run names itself as the builder.
set -eu
builder=$GITHUB_SERVER_URL/$GITHUB_REPOSITORY/.github/workflows/release.yml@$GITHUB_REF
make release VERSION="$1" DIST="$2" BUILDER="$builder"
