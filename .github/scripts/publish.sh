#!/bin/sh
# Publishes a release: publish.sh TAG FOLDER. The release is a draft until it has all files,
# so nobody sees a part of it. The container image is pushed before. The folders in FOLDER
# have the manifests for package managers, which become files of the release, too.
set -eu
tag=$1 folder=$2 version=${1#v}
here=$(dirname "$0")
notes=$(mktemp)
digest=$(mktemp)
trap 'rm -f "$notes" "$digest"' EXIT
"$here/notes.sh" "$tag" >"$notes"
(cd "$folder" && sha256sum --strict --quiet -c SHA256SUMS)

image=ghcr.io/$(echo "$GITHUB_REPOSITORY" | tr '[:upper:]' '[:lower:]')
echo "$GH_TOKEN" | docker login ghcr.io --username "$GITHUB_ACTOR" --password-stdin
skopeo copy --all --digestfile "$digest" "oci-archive:$folder/coldcheck_${version}_oci.tar" "docker://$image:$version"

set -- --repo "$GITHUB_REPOSITORY"
case $version in
*-*) kind=--prerelease ;;
*) kind=--latest ;;
esac
gh release create "$tag" "$@" --draft --verify-tag --title "coldcheck $version" --notes-file "$notes"
find "$folder" -type f -exec gh release upload "$tag" "$@" {} +
gh release edit "$tag" "$@" --draft=false "$kind"
{
	echo "image=$image"
	echo "digest=$(cat "$digest")"
} >>"$GITHUB_OUTPUT"
