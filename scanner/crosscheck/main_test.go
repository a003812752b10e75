package crosscheck

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/scanner/disk"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// Run as a child, this program behaves as the variable says; its arguments are
// images.
const (
	childMode   = "COLDCHECK_TEST_CHILD"
	childMemory = "COLDCHECK_TEST_MEMORY"
)

func TestMain(m *testing.M) {
	mode := os.Getenv(childMode)
	if mode == "" {
		os.Exit(m.Run())
	}
	if child := misbehaving[mode]; child != nil {
		child()
		return
	}
	w := &Worker{}
	w.Memory, _ = strconv.ParseInt(os.Getenv(childMemory), 10, 64)
	if open := openers[mode]; open != nil {
		w.Images = append(w.Images, open)
	}
	for _, path := range os.Args[1:] {
		w.Images = append(w.Images, func(ctx context.Context) ([]*disk.Image, error) { return openImage(ctx, path) })
	}
	if err := w.Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "coldcheck:", err)
		os.Exit(1)
	}
}

// openImage opens the raw image in a file.
func openImage(ctx context.Context, path string) ([]*disk.Image, error) {
	s, err := source.Open(ctx, path, source.Options{})
	if err != nil {
		return nil, err
	}
	image, err := disk.Open(ctx, s, s.Size(), disk.Options{})
	return []*disk.Image{image}, err
}

// openers are what parsers do at their worst, in a Worker that is sound.
var openers = map[string]func(context.Context) ([]*disk.Image, error){
	"panics":      func(context.Context) ([]*disk.Image, error) { panic("a parser gives up") },
	"hangs":       func(context.Context) ([]*disk.Image, error) { select {} },
	"loops":       func(context.Context) ([]*disk.Image, error) { return nil, recurse(loop(1)) },
	"eats memory": func(context.Context) ([]*disk.Image, error) { return nil, eat() },
	"eats at once": func(context.Context) ([]*disk.Image, error) {
		return nil, fmt.Errorf("%d", len(make([]byte, 1<<40)))
	},
	"eats stack": func(context.Context) ([]*disk.Image, error) { return nil, recurse(0) },
	"prints": func(context.Context) ([]*disk.Image, error) {
		fmt.Println("what a parser prints")
		return nil, os.ErrNotExist
	},
	"says too much": func(context.Context) ([]*disk.Image, error) {
		return nil, fmt.Errorf("%s", strings.Repeat("too much ", 100_000))
	},
}

func eat() error {
	var held [][]byte
	for {
		page := make([]byte, 64<<10)
		for i := range page {
			page[i] = 1
		}
		held = append(held, page)
		if len(held) > 1<<20 {
			return fmt.Errorf("held %d pages", len(held))
		}
	}
}

// loop runs for ever, and no compiler knows.
func loop(n int) int {
	for n != 0 {
		n = n*5 + 2 | 1
	}
	return n
}

func recurse(n int) error {
	var room [1024]byte
	if n < 0 {
		return fmt.Errorf("%v", room)
	}
	return recurse(n + 1 + int(room[n&1023]))
}

// misbehaving are children that are no Workers.
var misbehaving = map[string]func(){
	"agrees": func() { answer(func(id int) string { return fmt.Sprintf(`{"id":%d,"reading":{"found":false}}`, id) }) },
	"agrees once": func() {
		answer(func(id int) string { once(); return fmt.Sprintf(`{"id":%d,"reading":{"found":false}}`, id) })
	},
	"long target": func() {
		answer(func(id int) string {
			return fmt.Sprintf(`{"id":%d,"reading":{"found":false,"target":"%s"}}`, id, strings.Repeat("x", maxAnswer/2))
		})
	},
	"refuses":  func() { answer(func(id int) string { return fmt.Sprintf(`{"id":%d,"error":"it cannot"}`, id) }) },
	"nonsense": func() { answer(func(int) string { return "hello" }) },
	"another id": func() {
		answer(func(id int) string { return fmt.Sprintf(`{"id":%d,"reading":{"found":false}}`, id+1) })
	},
	"neither": func() { answer(func(id int) string { return fmt.Sprintf(`{"id":%d}`, id) }) },
	"both": func() {
		answer(func(id int) string { return fmt.Sprintf(`{"id":%d,"error":"e","reading":{"found":true}}`, id) })
	},
	"ends":         func() { answer(func(int) string { os.Exit(3); return "" }) },
	"ends at once": func() {},
	"crashes":      func() { answer(func(int) string { panic("index out of range") }) },
	"ends midway":  func() { answer(endMidway) },
	"never reads":  func() { time.Sleep(time.Hour) },
	"closes":       func() { os.Stdout.Close(); time.Sleep(time.Hour) },
	"floods":       func() { flood(strings.Repeat("x", 1<<16)) },
	"chatters":     func() { flood("{}\n") },
	// and the end of the line
	"longest answer": func() { answer(func(id int) string { return answerOf(id, maxAnswer-2) }) },
	"too long":       func() { answer(func(id int) string { return answerOf(id, maxAnswer) }) },
}

func answer(text func(id int) string) {
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var q request
		if err := json.Unmarshal(line, &q); err != nil {
			panic(err)
		}
		fmt.Println(text(q.ID))
	}
}

var answered int

func once() {
	if answered++; answered > 1 {
		os.Exit(4)
	}
}

// endMidway answers twice and ends within the third answer.
func endMidway(id int) string {
	if answered++; answered > 2 {
		fmt.Printf(`{"id":%d,"read`, id)
		os.Exit(4)
	}
	return fmt.Sprintf(`{"id":%d,"reading":{"found":false}}`, id)
}

func flood(text string) {
	for {
		if _, err := io.WriteString(os.Stdout, text); err != nil {
			return
		}
	}
}

// answerOf is an answer of so many bytes.
func answerOf(id, length int) string {
	begin := fmt.Sprintf(`{"id":%d,"reading":{"found":false,"more":"`, id)
	return begin + strings.Repeat("x", length-len(begin)-3) + `"}}`
}

// starter is how a child of a mode is started, and the last one of it.
type starter struct {
	mode   string
	memory int64
	images []string
	last   *exec.Cmd
	count  int
}

func (s *starter) start(ctx context.Context) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	s.last = exec.CommandContext(ctx, self, s.images...)
	s.last.Env = append(os.Environ(), childMode+"="+s.mode, childMemory+"="+strconv.FormatInt(s.memory, 10))
	s.count++
	return s.last
}
