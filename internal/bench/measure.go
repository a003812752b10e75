//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// usage is the cost of a process.
type usage struct {
	wall, cpu   time.Duration
	peak        int64 // memory, in bytes
	read, reads int64 // bytes and calls of read(2) and its like
}

// add is the usage of processes that ran one after the other.
func (u usage) add(other usage) usage {
	return usage{u.wall + other.wall, u.cpu + other.cpu, max(u.peak, other.peak), u.read + other.read,
		u.reads + other.reads}
}

// process is one that was started to be measured.
type process struct {
	cmd    *exec.Cmd
	start  time.Time
	stderr bytes.Buffer
}

func start(ctx context.Context, args []string) (*process, error) { return startWith(ctx, args, "") }

// startWith starts a process that reads a text from its standard input.
func startWith(ctx context.Context, args []string, input string) (*process, error) {
	p := &process{cmd: exec.CommandContext(ctx, args[0], args[1:]...), start: time.Now()}
	p.cmd.Stdin = strings.NewReader(input)
	p.cmd.Stderr = &p.stderr
	p.cmd.WaitDelay = 10 * time.Second
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Cancel = func() error { return syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }
	return p, p.cmd.Start()
}

// wait returns the cost of the process. accept are the nonzero exit codes that
// are not failures.
func (p *process) wait(accept ...int) (usage, error) {
	// It is left a zombie until its counters are read.
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, &info, unix.WEXITED|unix.WNOWAIT, nil)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return usage{}, err
		}
	}
	u := usage{wall: time.Since(p.start)}
	counters, ioErr := os.ReadFile(fmt.Sprintf("/proc/%d/io", p.cmd.Process.Pid))
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		for _, code := range accept {
			if exit.ExitCode() == code {
				err = nil
			}
		}
	}
	if err != nil {
		return usage{}, fmt.Errorf("%s: %w: %s", filepath.Base(p.cmd.Path), err, lastLine(p.stderr.String()))
	}
	if ioErr != nil {
		return usage{}, ioErr
	}
	u.read, u.reads = counter(counters, "rchar"), counter(counters, "syscr")
	state := p.cmd.ProcessState
	u.cpu = state.UserTime() + state.SystemTime()
	u.peak = state.SysUsage().(*syscall.Rusage).Maxrss << 10
	return u, nil
}

func counter(counters []byte, name string) int64 {
	_, rest, _ := strings.Cut(string(counters), name+": ")
	digits, _, _ := strings.Cut(rest, "\n")
	n, _ := strconv.ParseInt(digits, 10, 64)
	return n
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// commands measures programs that run one after the other.
func commands(list ...[]string) func(ctx context.Context) (usage, error) {
	return func(ctx context.Context) (usage, error) {
		var all usage
		for _, args := range list {
			p, err := start(ctx, args)
			if err != nil {
				return usage{}, err
			}
			u, err := p.wait()
			if err != nil {
				return usage{}, err
			}
			all = all.add(u)
		}
		return all, nil
	}
}

// scan measures a scan, which ends with 0, 1 or 3 if it came to a verdict.
func scan(program string, args ...string) func(ctx context.Context) (usage, error) {
	return func(ctx context.Context) (usage, error) {
		p, err := start(ctx, append([]string{program, "scan", "-o", "json=/dev/null"}, args...))
		if err != nil {
			return usage{}, err
		}
		return p.wait(1, 3)
	}
}

// mountAndDu measures ntfs-3g, with du going through all that it mounts.
func mountAndDu(images ...string) func(ctx context.Context) (usage, error) {
	return func(ctx context.Context) (usage, error) {
		var all usage
		for _, image := range images {
			u, err := mountAndDuOne(ctx, image)
			if err != nil {
				return usage{}, err
			}
			all = all.add(u)
		}
		return all, nil
	}
}

func mountAndDuOne(ctx context.Context, image string) (_ usage, err error) {
	part, err := largest(image)
	if err != nil {
		return usage{}, err
	}
	device, detach, err := attach(part)
	if err != nil {
		return usage{}, err
	}
	defer detach()
	dir, err := os.MkdirTemp("", "coldcheck-bench")
	if err != nil {
		return usage{}, err
	}
	defer os.Remove(dir)
	driver, err := start(ctx, []string{"ntfs-3g", "-o", "ro,no_detach", device, dir})
	if err != nil {
		return usage{}, err
	}
	for !isMounted(dir) {
		if time.Since(driver.start) > time.Minute || ctx.Err() != nil {
			_ = driver.cmd.Cancel()
			_, err := driver.wait()
			return usage{}, fmt.Errorf("ntfs-3g did not mount %s: %w", image, err)
		}
		time.Sleep(time.Millisecond)
	}
	walk, err := commands([]string{"du", "-s", dir})(ctx)
	ended := time.Since(driver.start)
	err = errors.Join(err, command("umount", dir))
	d, derr := driver.wait()
	if err := errors.Join(err, derr); err != nil {
		return usage{}, err
	}
	// The two ran at the same time. What du reads is what ntfs-3g read.
	return usage{wall: ended, cpu: d.cpu + walk.cpu, peak: d.peak + walk.peak, read: d.read, reads: d.reads}, nil
}

func isMounted(dir string) bool {
	mounts, err := os.ReadFile("/proc/self/mounts")
	return err == nil && strings.Contains(string(mounts), " "+dir+" ")
}
