GO ?= go
export CGO_ENABLED = 0

.PHONY: build test
build:
	$(GO) build -trimpath -o coldcheck ./cmd/coldcheck
test:
	$(GO) test ./...
