//go:build linux

// Command bench measures complete scans, and each reader separately, and
// compares them with other programs. It uses large volumes that it builds once
// and keeps in a cache folder.
//
//	go run ./internal/bench [-cache FOLDER] [-rounds N] [-only REGEXP] [-coldcheck FILE]
//
// It needs root, loop devices and ntfs-3g to build the volumes and to drop the
// page cache; about 12 GB of disk. A program that it compares with and that is
// not there is left out, and named. The table is Markdown on standard output,
// progress goes to standard error. docs/performance.md says how to read it.
//
// Each measurement runs in a separate process, one at a time; each round runs
// all rows of a table in turn. Times are the median of the rounds.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

func main() {
	if len(os.Args) > 1 {
		if child, ok := children[os.Args[1]]; ok {
			if err := child(os.Args[2:]); err != nil {
				fatal(err)
			}
			return
		}
	}
	cache := flag.String("cache", os.Getenv("BENCH_CACHE"),
		"keep the volumes in `folder` (BENCH_CACHE; the user's cache folder if empty)")
	rounds := flag.Int("rounds", 5, "run each program `n` times; those that take long once")
	only := flag.String("only", "", "measure only tables whose title matches `regexp`")
	program := flag.String("coldcheck", "", "measure `file` instead of building coldcheck from the folder it is run in")
	flag.Parse()
	match, err := regexp.Compile(*only)
	if err != nil {
		fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *cache, *program, *rounds, match); err != nil {
		stop()
		fatal(err)
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

func run(ctx context.Context, cache, program string, rounds int, only *regexp.Regexp) error {
	if os.Geteuid() != 0 {
		return errors.New("needs root: volumes are mounted, and the page cache is dropped")
	}
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return err
		}
		cache = filepath.Join(user, "coldcheck-bench")
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	// Built in a process of its own, since what this one has ever held in
	// memory counts as the peak of each process that it starts.
	if err := self(ctx, "build", cache); err != nil {
		return err
	}
	if program == "" {
		program = filepath.Join(cache, "coldcheck")
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", program, "./cmd/coldcheck")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("building coldcheck: %w", err)
		}
	}
	s := &session{ctx: ctx, files: files{cache}, program: program, rounds: rounds}
	for name, images := range s.files.scans() {
		if err := self(ctx, append([]string{"record", s.files.path(name + ".bytes")}, images...)...); err != nil {
			return err
		}
	}
	fmt.Println(s.machine())
	for _, t := range s.tables() {
		if !only.MatchString(t.title) {
			continue
		}
		if err := s.measure(&t); err != nil {
			return err
		}
		fmt.Printf("\n%s", t.markdown())
	}
	return nil
}

// self runs this program as one of its children, to the end.
func self(ctx context.Context, args ...string) error {
	c := exec.CommandContext(ctx, "/proc/self/exe", args...)
	c.Stdout, c.Stderr = os.Stderr, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return nil
}
