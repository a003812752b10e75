package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// formatFlag declares -o of a command that writes one thing, and its older name. Where toFile is true, the command
// can also write to a file.
func formatFlag(c *cobra.Command, value *string, toFile bool, formats ...string) {
	form := "FORMAT"
	if toFile {
		form += "[=PATH]"
	}
	last := len(formats) - 1
	c.Flags().StringVarP(value, "output", "o", formats[0],
		"write as `"+form+"`: "+strings.Join(formats[:last], ", ")+" or "+formats[last])
	c.Flags().StringVar(value, "format", formats[0], "the older name of --output")
	check(c.Flags().MarkHidden("format"))
	for _, name := range []string{"output", "format"} {
		check(c.RegisterFlagCompletionFunc(name, complete(formats...)))
	}
}

// checkFormat checks the format of a command that writes to standard output only.
func checkFormat(value string, formats ...string) error {
	format, path, toFile := strings.Cut(value, "=")
	if !slices.Contains(formats, format) {
		return unknownFormat(format, formats)
	}
	if toFile {
		return usage("leave '="+path+"' out and redirect the output", "-o %s: this command writes to standard output only",
			value)
	}
	return nil
}

// splitFormat reads FORMAT[=PATH]. The path is "" if there is none; "-" is standard output.
func splitFormat(value string, formats ...string) (format, path string, err error) {
	format, path, toFile := strings.Cut(value, "=")
	switch {
	case !slices.Contains(formats, format):
		return "", "", unknownFormat(format, formats)
	case toFile && path == "":
		return "", "", usage("", "-o %s: the path is missing", value)
	}
	return format, path, nil
}

func unknownFormat(name string, formats []string) error {
	hint := didYouMean(name, formats, "-o ", "the formats are "+strings.Join(formats, ", "))
	return usage(hint, "unknown format %q", name)
}
