package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/internal/memory"
)

// memoryFlag declares --max-memory.
func memoryFlag(c *cobra.Command, value *memorySize) {
	*value = memory.Default
	flagsOf(c).Var(value, "max-memory",
		"limit memory to `SIZE`, such as 256M or 1G, at least "+memorySize(memory.Least).String()+
			"; data beyond it is reported as undetermined")
}

// memorySize is the value of --max-memory, in bytes.
type memorySize int64

// sizeUnits are powers of 1024 with or without the "i"; with only a B they are
// powers of 1000.
var sizeUnits = map[string]int64{
	"": 1, "b": 1,
	"k": 1 << 10, "kib": 1 << 10, "kb": 1e3,
	"m": 1 << 20, "mib": 1 << 20, "mb": 1e6,
	"g": 1 << 30, "gib": 1 << 30, "gb": 1e9,
}

func (s *memorySize) Set(text string) error {
	number := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	unit, known := sizeUnits[strings.ToLower(text[len(number):])]
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	switch {
	case err != nil || !known || n < 0 || n > math.MaxInt64/unit:
		return fmt.Errorf("a size such as 512M, 1G or 536870912 is required")
	case n*unit < memory.Least:
		return fmt.Errorf("a scan needs at least %s", memorySize(memory.Least))
	}
	*s = memorySize(n * unit)
	return nil
}

func (s memorySize) String() string {
	for _, unit := range []string{"GiB", "MiB", "KiB"} {
		if bytes := sizeUnits[strings.ToLower(unit)]; int64(s)%bytes == 0 {
			return fmt.Sprintf("%d%s", int64(s)/bytes, unit)
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

func (memorySize) Type() string { return "size" }
