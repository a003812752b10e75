GO ?= go
FUZZTIME ?= 60s
TIMEOUT ?= 30m
# How many images make torture damages and scans, and the seed of the first.
IMAGES ?= 20000
SEED ?= 0
STATICCHECK_VERSION = v0.8.2
GOVULNCHECK_VERSION = v1.9.0
ACTIONLINT_VERSION = v1.7.12

# Real tools that make fixtures and that tests compare with. They need root, loop
# devices and /dev/fuse. Tests without their tools are skipped.
PACKAGES = attr btrfs-progs cryptsetup-bin db5.3-util dosfstools dpkg-dev \
	e2fsprogs exfatprogs fdisk gdisk iproute2 libhivex-bin libwin-hivex-perl lvm2 mount mtools \
	ntfs-3g psmisc qemu-utils reglookup rpm sleuthkit sqlite3 strace systemd util-linux wimtools \
	ewf-tools libevtx-utils libqcow-utils libvhdi-utils libnbd-bin libvmdk-utils nbdkit python3-vmdkstream \
	xfsprogs zstd gcc libc6-dev bzip2 lz4 unzip xz-utils zip \
	chromium-headless-shell fonts-dejavu-core libxml2-utils openjdk-17-jre-headless \
	dash mandoc shellcheck munge parallel slurm-wlm debootstrap openssl \
	curl git groovy pre-commit wget

# What checks reports: the accessibility checker axe, the HTML checker of the W3C,
# and the SARIF validator of the format's authors, which is a program of its own.
# tree-sitter's grammar of PowerShell parses the scripts that remediate writes.
# DuckDB answers the queries in deploy/sql, and asl-validator checks the state machine in
# deploy. npm does not run the scripts of these packages.
VALIDATORS = axe-core@4.14.1 vnu-jar@26.9.27 @microsoft/sarif-multitool-linux@5.7.0 \
	tree-sitter-powershell@0.26.4 web-tree-sitter@0.27.1 @duckdb/node-api@1.5.6-r.1 asl-validator@4.0.0

PLATFORMS = linux/amd64 linux/arm64 windows/amd64 darwin/arm64

# Many tests wait, for mounts and for servers that answer slowly on purpose. So more
# run at a time than there are processors.
TASKS = $(shell expr 2 \* $$(getconf _NPROCESSORS_ONLN))
WAITING = -p $(TASKS) -parallel $(TASKS)

export CGO_ENABLED = 0
export PATH := $(PATH):$(shell $(GO) env GOPATH)/bin

.PHONY: build demo test race cross-check lint fuzz torture corpus bench bench-go cross man tools clean

# The version comes from the history, whatever GOFLAGS says of it.
BUILDFLAGS ?= -trimpath -buildvcs=auto
build:
	$(GO) build $(BUILDFLAGS) -o coldcheck ./cmd/coldcheck

# The case must end with exit code 1, not ready.
demo: build
	@./coldcheck demo --case failing; status=$$?; \
	test $$status -eq 1 || { echo "demo: ended with $$status, not 1" >&2; exit 1; }

# Takes some minutes: it tests some of many similar volumes. COLDCHECK_STRICT=1, as
# CI sets it, tests all of them, and fails tests instead of skipping them.
# COLDCHECK_CORPUS names the folder with the corpus of real images and hives.
test:
	@$(MAKE) --no-print-directory -j3 test-program test-manifests test-release

.PHONY: test-program test-manifests
test-program:
	$(GO) test $(WAITING) -timeout $(TIMEOUT) ./...

# The manifests in deploy, decoded with the types of Kubernetes and AWS Batch. They are
# in a module of their own, so that the program does not depend on them.
test-manifests:
	cd internal/engines && $(GO) test -gcflags='all=-N -l' -timeout $(TIMEOUT) ./manifest

# A fleet on each engine: the Job controller of Kubernetes, Slurm, GNU parallel and a
# shell. The controller takes minutes to compile the first time. Run it as root.
.PHONY: fleet-engines
fleet-engines:
	COLDCHECK_NIGHTLY=1 COLDCHECK_STRICT=1 $(GO) test -count=1 -v -timeout $(TIMEOUT) -run '^TestEngines$$' \
		./cmd/coldcheck

# Everything that takes too long for test: every test at full length, the race
# detector on all packages, torture, and a minute of each fuzz target. Takes
# hours. Run it as root, with the tools.
.PHONY: nightly
nightly:
	COLDCHECK_NIGHTLY=1 COLDCHECK_STRICT=1 $(GO) test -count=1 -timeout 0 ./...
	COLDCHECK_NIGHTLY=1 COLDCHECK_STRICT=1 $(MAKE) test-release
	COLDCHECK_NIGHTLY=1 $(MAKE) race RACE=./...
	$(MAKE) torture
	$(MAKE) fuzz

# The tests of XFS at full length, with every kind of volume and all crash
# images. Takes ten minutes. Run it as root.
.PHONY: test-xfs
test-xfs:
	COLDCHECK_NIGHTLY=1 COLDCHECK_STRICT=1 $(GO) test -count=1 -v -timeout $(TIMEOUT) ./xfs

# All damaged volumes compared with ntfs-3g. Takes a minute. Run it as root.
.PHONY: test-ntfs
test-ntfs:
	COLDCHECK_NIGHTLY=1 COLDCHECK_STRICT=1 $(GO) test -count=1 -v -run '^TestPresence3g$$' ./ntfs

# The packages that start goroutines, and two whose code runs in several. Short
# mode leaves out the real tools, since the race detector does not see into them,
# and most cases. The command starts one goroutine, and its tests start the command
# hundreds of times, so only make nightly includes it. internal/engines and internal/release are
# other modules.
RACE ?= ./internal/memory ./registry $(shell \
	grep -rlE --include='*.go' --exclude='*_test.go' --exclude-dir=engines --exclude-dir=release '\<go func\>|\.Go\>' \
	ext4 internal ntfs scanner xfs | \
	xargs -n 1 dirname | sort -u | sed 's,^,./,')
race:
	CGO_ENABLED=1 $(GO) test $(WAITING) -timeout $(TIMEOUT) -short -race $(RACE)

# Reads the evidence of every case again with other parsers. Takes minutes.
cross-check:
	COLDCHECK_NIGHTLY=1 $(GO) test -timeout $(TIMEOUT) -run '^TestCrossCheckCases$$' -v ./scanner

# The tests that work on Windows, and their packages. Run it there, in Git Bash.
.PHONY: test-windows list-windows
list-windows:
	@.github/scripts/windows.sh
test-windows:
	$(GO) test -short -timeout $(TIMEOUT) $$(.github/scripts/windows.sh)
	$(GO) test -short -timeout $(TIMEOUT) -run '$(WINDOWS_COMMAND)' ./cmd/coldcheck

# The tests of the command that work on Windows.
WINDOWS_COMMAND = Windows|Console|CtrlBreak|BusyHint|CutDrive|VersionLine

lint:
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not formatted: $$unformatted" >&2; exit 1; }
	$(GO) vet ./...
	staticcheck ./...
	cd internal/release && $(GO) vet . && staticcheck .

# Known vulnerabilities in what the program calls. The database is on the
# network; where it cannot be reached, the target says so and succeeds, but fails on GitHub.
.PHONY: vuln
vuln:
	@found=$$(govulncheck ./... 2>&1); status=$$?; echo "$$found"; \
	case $$found in *"fetching vulnerabilities: "*) echo "vuln: NOT CHECKED: the database cannot be reached" >&2; \
		test -z "$$GITHUB_ACTIONS";; \
	*) exit $$status;; esac

# Runs each fuzz target in turn for FUZZTIME. FUZZFLAGS= builds the packages as for
# tests: a hundred executions learn nothing from coverage, and compiling
# everything again for it takes minutes.
FUZZFLAGS ?= -fuzz .
fuzz:
	@set -e; tests=$$(mktemp -d); trap 'rm -rf "$$tests"' EXIT; cache=$$($(GO) env GOCACHE)/fuzz; \
	for dir in $$(git grep -l '^func Fuzz' -- '*_test.go' | xargs -n 1 dirname | sort -u); do \
		$(GO) test -c $(FUZZFLAGS) -o "$$tests/fuzz.test" ./$$dir; \
		for target in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$dir/*_test.go | cut -d ' ' -f 2); do \
			echo "$$dir $$target"; \
			(cd $$dir && "$$tests/fuzz.test" -test.run '^$$' -test.fuzz "^$$target\$$" -test.fuzztime $(FUZZTIME) \
				-test.fuzzminimizetime 20x -test.fuzzcachedir "$$cache/$$dir"); \
		done; \
	done

# Scans damaged images one after the other (docs/torture.md). Run it as root, with
# the tools.
torture:
	COLDCHECK_TORTURE=$(IMAGES) COLDCHECK_TORTURE_SEED=$(SEED) COLDCHECK_STRICT=1 \
		$(GO) test ./scanner/internal/mutate -run '^TestTorture$$' -count=1 -v -timeout 0

# Reads the whole corpus, with the files that take long to unpack, and prints a
# table of the results.
corpus:
	COLDCHECK_NIGHTLY=1 $(GO) test ./scanner -run '^TestCorpus$$' -count=1 -v -timeout $(TIMEOUT)

# Makes roots of Debian and Ubuntu with debootstrap in ROOTS, and compares what is
# read of them with their own tools: dpkg-query, systemctl, netplan, ifquery,
# cloud-init's generator, and packets sent through their firewalls. Run it as root,
# with a network. Takes some minutes the first time.
ROOTS ?= .cache/roots
.PHONY: roots
roots:
	internal/roots/make.sh $(ROOTS)
	COLDCHECK_ROOTS=$(abspath $(ROOTS)) $(GO) test ./scanner/internal/linux \
		-run '^(TestRoots|TestPackets|TestNetplanGenerate)$$' -count=1 -v -timeout $(TIMEOUT)

# Compares whole scans of large volumes with other programs (docs/performance.md).
# Run it as root. Builds the volumes once, which takes minutes, in BENCH_CACHE or
# the user's cache folder.
bench:
	$(GO) run ./internal/bench $(BENCH_FLAGS)

# Measures the hot functions, for benchstat.
bench-go:
	$(GO) test -run '^$$' -bench . -benchmem ./...

cross:
	@set -e; for platform in $(PLATFORMS); do \
		os=$${platform%/*} arch=$${platform#*/}; \
		case $$os in windows) suffix=.exe;; *) suffix=;; esac; \
		echo "dist/coldcheck_$${os}_$$arch$$suffix"; \
		GOOS=$$os GOARCH=$$arch $(GO) build $(BUILDFLAGS) -o dist/coldcheck_$${os}_$$arch$$suffix ./cmd/coldcheck; \
	done

# Builds a release into DIST: make release VERSION=v1.2.3 (docs/release.md). KEY names a
# file with a private key that signs the provenance, BUILDER the URI of what builds.
# internal/release is in a module of its own, so that the program does not depend on what
# packs it.
.PHONY: release test-release
release:
	@cd internal/release && $(GO) run . -root $(CURDIR) -version '$(VERSION)' $(if $(DIST),-dist '$(abspath $(DIST))') \
		$(if $(KEY),-key '$(abspath $(KEY))') $(if $(BUILDER),-builder '$(BUILDER)')

# What make release is made of, on a program that compiles in seconds. COLDCHECK_NIGHTLY=1
# builds the release of the commit twice, and installs it.
test-release:
	cd internal/release && $(GO) test -timeout $(TIMEOUT) .

man: build
	./coldcheck man >coldcheck.1

# Installs the programs of Go that make lint, make vuln and tests run.
.PHONY: go-tools
go-tools:
	$(GO) install honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION)
	$(GO) install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION)
	$(GO) install github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT_VERSION)

# Installs what tests need. Run it as root on Debian.
tools: go-tools
	@set -e; missing=; for package in $(PACKAGES); do \
		dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q ' installed$$' || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
		apt-get update -q; \
		DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing; \
	fi
	@command -v npm >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends npm
	@test "$$(cat .cache/validators/installed 2>/dev/null)" = "$(VALIDATORS)" || { \
		rm -rf .cache/validators && mkdir -p .cache/validators && \
		npm install --prefix .cache/validators --no-save --no-audit --no-fund --ignore-scripts $(VALIDATORS) && \
		chmod +x .cache/validators/node_modules/@microsoft/sarif-multitool-linux/Sarif.Multitool && \
		echo "$(VALIDATORS)" > .cache/validators/installed; }

-include fixtures/fixtures.mk

clean:
	rm -rf coldcheck coldcheck.exe coldcheck.1 dist .dist-*
