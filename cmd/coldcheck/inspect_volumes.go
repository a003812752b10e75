package main

import (
	"cmp"
	"fmt"
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
	c := &cobra.Command{
		Use:   "volumes IMAGE",
		Short: "Show the partitions, volumes and filesystems of an image",
		Long:  "Show the container of an image, its partition table, its volumes and their filesystems.",
		Example: `coldcheck inspect volumes root.img
coldcheck inspect volumes -o jsonl /dev/nvme1n1`,
		Args: arguments(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkFormat(format, inspectFormats...); err != nil {
				return err
			}
			image, err := p.openImage(c.Context(), args[0])
			if err != nil {
				return err
			}
			defer image.Close()
			out := p.newLines()
			if format == "jsonl" {
				return out.flush(volumesJSON(out, image))
			}
			volumesText(out, image)
			return out.flush(nil)
		},
	}
	formatFlag(c, &format, false, inspectFormats...)
	return c
}

func volumesText(out lines, image *scanner.Image) {
	fmt.Fprintf(out, "%s  %s, %s, %d-byte sectors, ", report.Neutral(image.Name), image.Format, bytesAndUnits(image.Size),
		image.SectorSize)
	switch image.Table {
	case "mbr":
		fmt.Fprintf(out, "MBR, signature 0x%08X\n", image.DiskSignature)
	case "gpt":
		fmt.Fprintf(out, "GPT, disk %s\n", image.DiskGUID)
	default:
		fmt.Fprintln(out, "no partition table")
	}
	for _, n := range image.Notes {
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
	Image         string   `json:"image"`
	Format        string   `json:"format"`
	Size          int64    `json:"size"`
	SectorSize    int      `json:"sector_size"`
	Table         string   `json:"table"`
	DiskSignature string   `json:"disk_signature,omitempty"`
	DiskGUID      string   `json:"disk_guid,omitempty"`
	Notes         []string `json:"notes,omitempty"`
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

// volumesJSON writes an object for the image, then one for each volume.
func volumesJSON(out lines, image *scanner.Image) error {
	i := imageJSON{
		Image: image.Name, Format: image.Format, Size: image.Size, SectorSize: image.SectorSize,
		Table: image.Table, DiskGUID: guidText(image.DiskGUID), Notes: image.Notes,
	}
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
