#!/bin/sh
# Prints the packages whose tests work on Windows. Those of the packages below need Linux or
# a shell of it; TestPlatforms in internal/house checks that they compile for Windows.
set -eu
module=$(go list -m)
go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./... |
	while read -r package; do
		case ${package#"$module"/} in
		cmd/coldcheck | fixtures/make | internal/bench | internal/house | internal/testenv | scanner/internal/mutate) ;;
		*) echo "$package" ;;
		esac
	done
