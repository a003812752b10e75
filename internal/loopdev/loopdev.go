// Package loopdev makes loop devices of files with losetup, as root.
package loopdev

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// Attach makes a loop device of a file, with more options of losetup, and returns the
// device's path. Another process may take the free device first, so Attach tries again
// for two seconds.
func Attach(ctx context.Context, file string, options ...string) (device string, err error) {
	args := append([]string{"--find", "--show"}, options...)
	for range 20 {
		var out []byte
		if out, err = run(ctx, append(args, file)); err == nil {
			return strings.TrimSpace(string(out)), nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return "", err
}

// Detach releases a loop device.
func Detach(device string) error {
	_, err := run(context.Background(), []string{"--detach", device})
	return err
}

func run(ctx context.Context, args []string) ([]byte, error) {
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, "losetup", args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("losetup %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return out, err
}
