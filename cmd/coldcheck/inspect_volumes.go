package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/disk"
)

func (p *program) inspectVolumesCommand() *cobra.Command {
	var format string
	var parents []string
	c := &cobra.Command{
		Use:   "volumes IMAGE",
		Short: "Show the partitions, volumes and filesystems of an image",
		Long: `Show the container of an image with its parts and parents, the partition table, the
volumes and their filesystems. The disks of an archive are shown one after the other.`,
		Example: `coldcheck inspect volumes root.img
coldcheck inspect volumes -o jsonl /dev/nvme1n1`,
		Args: arguments(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkFormat(format, inspectFormats...); err != nil {
				return err
			}
			image, err := p.openImage(c.Context(), args[0], parents)
			if err != nil {
				return err
			}
			defer image.Close()
			out := p.newLines()
			if format == "jsonl" {
				return out.flush(volumesJSON(c.Context(), out, image.disks))
			}
			volumesText(c.Context(), out, image.disks)
			return out.flush(nil)
		},
	}
	formatFlag(c, &format, false, inspectFormats...)
	parentFlag(c, &parents)
	return c
}

// volumesText writes each disk with its volumes.
func volumesText(ctx context.Context, out lines, images []*scanner.Image) {
	for n, image := range images {
		if n > 0 {
			fmt.Fprintln(out)
		}
		diskText(ctx, out, image)
	}
}

func diskText(ctx context.Context, out lines, image *scanner.Image) {
	fmt.Fprintf(out, "%s  %s, %s, %d-byte sectors, ", report.Neutral(image.Name),
		report.Neutral(formatName(image.Format, image.Detail)), bytesAndUnits(image.Size), image.SectorSize)
	switch image.Table {
	case "mbr":
		fmt.Fprintf(out, "MBR, signature 0x%08X\n", image.DiskSignature)
	case "gpt":
		fmt.Fprintf(out, "GPT, disk %s\n", image.DiskGUID)
	default:
		fmt.Fprintln(out, "no partition table")
	}
	containerText(out, image.Describe())
	for _, n := range notesOf(ctx, image) {
		fmt.Fprintf(out, "note: %s\n", report.Neutral(n))
	}
	if len(image.Volumes()) == 0 {
		fmt.Fprintln(out, "no volumes")
		return
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "VOLUME\tPARTITION\tOFFSET\tSIZE\tFILESYSTEM\tTYPE")
	for _, v := range image.Volumes() {
		partition := "-"
		if v.Partition > 0 {
			partition = fmt.Sprint(v.Partition)
		}
		fmt.Fprintf(t, "%d\t%s\t%d\t%s\t%s\t%s\n", v.Number, partition, v.Offset, bytesAndUnits(v.Size),
			report.Neutral(filesystemName(v)), report.Neutral(typeText(v)))
	}
	t.Flush()
	for _, v := range image.Volumes() {
		if v.Err != nil {
			fmt.Fprintf(out, "note: volume %d: %s\n", v.Number, report.Neutral(v.Err.Error()))
		}
	}
}

// formatName is a format with its kind.
func formatName(format, detail string) string {
	if detail == "" {
		return format
	}
	return format + " (" + detail + ")"
}

// maxPartLines is how many parts are listed; a split image may have thousands.
const maxPartLines = 20

// containerText writes what a container is made of.
func containerText(out lines, f scanner.ImageFile) {
	parts := func(parts []scanner.Part) {
		for n, p := range parts {
			if n == maxPartLines {
				fmt.Fprintf(out, "and %d more parts\n", len(parts)-n)
				return
			}
			fmt.Fprintf(out, "part: %s  %s\n", report.Neutral(p.Name), bytesAndUnits(p.Size))
		}
	}
	if !f.IsRaw() {
		fmt.Fprintf(out, "file: %s\n", bytesAndUnits(f.Size))
	}
	parts(f.Parts)
	for _, p := range f.Parents {
		fmt.Fprintf(out, "parent: %s  %s, %s, file: %s\n", report.Neutral(p.Name),
			report.Neutral(formatName(p.Container, p.Detail)), bytesAndUnits(p.DiskSize), bytesAndUnits(p.Size))
		parts(p.Parts)
	}
	for _, s := range f.Stated {
		fmt.Fprintf(out, "states: %s %s\n", s.Algorithm, report.Neutral(s.Sum))
	}
}

// notesOf are the notes of an image, with one for what its folder has of it.
func notesOf(ctx context.Context, image *scanner.Image) []string {
	notes := slices.Clone(image.Notes)
	names, more, err := image.Overlays(ctx)
	if err != nil {
		notes = append(notes, "cannot tell whether this is the base disk of another image: "+err.Error())
	}
	if len(names) > 0 {
		notes = append(notes, scanner.StaleMessage(image.Name, names))
	}
	if more {
		notes = append(notes, "the folder has too many files to look for images with changes to this one")
	}
	return notes
}

func filesystemName(v *disk.Volume) string {
	name := cmp.Or(string(v.Filesystem), "unknown")
	if v.Detail != "" {
		name += " (" + v.Detail + ")"
	}
	return name
}

func typeText(v *disk.Volume) string {
	parts := []string{cmp.Or(v.TypeName, v.Type, "-")}
	if name := cmp.Or(v.Name, v.LogicalVolume, v.Group); name != "" {
		parts = append(parts, `"`+name+`"`)
	}
	for _, flag := range []struct {
		set  bool
		name string
	}{{v.Active, "active"}, {v.Hidden, "hidden"}, {v.NoDriveLetter, "no drive letter"}} {
		if flag.set {
			parts = append(parts, flag.name)
		}
	}
	return strings.Join(parts, ", ")
}

// bytesAndUnits writes a size both ways.
func bytesAndUnits(n int64) string {
	if n < 1<<20 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d (%s)", n, prose.Rounded(n))
}

type imageJSON struct {
	Image         string       `json:"image"`
	Format        string       `json:"format"`
	Detail        string       `json:"detail,omitempty"`
	Member        string       `json:"member,omitempty"`
	Size          int64        `json:"size"`
	FileSize      int64        `json:"file_size,omitempty"`
	Parts         []partJSON   `json:"parts,omitempty"`
	Parents       []parentJSON `json:"parents,omitempty"`
	Stated        []statedJSON `json:"stated,omitempty"`
	SectorSize    int          `json:"sector_size"`
	Table         string       `json:"table"`
	DiskSignature string       `json:"disk_signature,omitempty"`
	DiskGUID      string       `json:"disk_guid,omitempty"`
	Notes         []string     `json:"notes,omitempty"`
}

type partJSON struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
}

type parentJSON struct {
	Name     string     `json:"name"`
	Format   string     `json:"format"`
	Detail   string     `json:"detail,omitempty"`
	Size     int64      `json:"size"`
	FileSize int64      `json:"file_size"`
	Parts    []partJSON `json:"parts,omitempty"`
}

type statedJSON struct {
	Algorithm scanner.Algorithm `json:"algorithm"`
	Sum       string            `json:"sum"`
}

func partsJSON(parts []scanner.Part) []partJSON {
	var list []partJSON
	for _, p := range parts {
		list = append(list, partJSON{p.Name, p.Size})
	}
	return list
}

// describe adds what a container is made of; nothing for a raw image.
func (i *imageJSON) describe(f scanner.ImageFile) {
	if f.IsRaw() {
		return
	}
	i.Detail, i.Member, i.FileSize, i.Parts = f.Detail, f.Member, f.Size, partsJSON(f.Parts)
	for _, p := range f.Parents {
		i.Parents = append(i.Parents, parentJSON{
			Name: p.Name, Format: p.Container, Detail: p.Detail, Size: p.DiskSize, FileSize: p.Size, Parts: partsJSON(p.Parts),
		})
	}
	for _, s := range f.Stated {
		i.Stated = append(i.Stated, statedJSON{s.Algorithm, s.Sum})
	}
}

type volumeJSON struct {
	Number        int    `json:"number"`
	Partition     int    `json:"partition"`
	Offset        int64  `json:"offset"`
	Size          int64  `json:"size"`
	Declared      int64  `json:"declared"`
	Type          string `json:"type,omitempty"`
	TypeName      string `json:"type_name,omitempty"`
	Name          string `json:"name,omitempty"`
	GUID          string `json:"guid,omitempty"`
	Active        bool   `json:"active"`
	Hidden        bool   `json:"hidden"`
	NoDriveLetter bool   `json:"no_drive_letter"`
	Filesystem    string `json:"filesystem"`
	Encrypted     bool   `json:"encrypted"`
	Detail        string `json:"detail,omitempty"`
	Group         string `json:"group,omitempty"`
	LogicalVolume string `json:"logical_volume,omitempty"`
	Error         string `json:"error,omitempty"`
}

// volumesJSON writes an object for each disk, and after it one for each of its volumes.
func volumesJSON(ctx context.Context, out lines, images []*scanner.Image) error {
	for _, image := range images {
		if err := diskJSON(ctx, out, image); err != nil {
			return err
		}
	}
	return nil
}

func diskJSON(ctx context.Context, out lines, image *scanner.Image) error {
	i := imageJSON{
		Image: image.Name, Format: image.Format, Size: image.Size, SectorSize: image.SectorSize,
		Table: image.Table, DiskGUID: guidText(image.DiskGUID), Notes: notesOf(ctx, image),
	}
	i.describe(image.Describe())
	if image.DiskSignature != 0 {
		i.DiskSignature = fmt.Sprintf("0x%08X", image.DiskSignature)
	}
	if err := out.object(i); err != nil {
		return err
	}
	for _, v := range image.Volumes() {
		failed := ""
		if v.Err != nil {
			failed = v.Err.Error()
		}
		if err := out.object(volumeJSON{
			Number: v.Number, Partition: v.Partition, Offset: v.Offset, Size: v.Size, Declared: v.Declared,
			Type: v.Type, TypeName: v.TypeName, Name: v.Name, GUID: guidText(v.GUID),
			Active: v.Active, Hidden: v.Hidden, NoDriveLetter: v.NoDriveLetter,
			Filesystem: string(v.Filesystem), Encrypted: v.Filesystem.Encrypted(), Detail: v.Detail,
			Group: v.Group, LogicalVolume: v.LogicalVolume, Error: failed,
		}); err != nil {
			return err
		}
	}
	return nil
}

func guidText(g disk.GUID) string {
	if g.IsZero() {
		return ""
	}
	return g.String()
}
