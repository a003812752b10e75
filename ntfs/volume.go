package ntfs

import (
	"fmt"
	"math/bits"
)

// Volume describes a volume.
type Volume struct {
	Label   string
	Serial  uint64  // as in the boot sector
	Version string  // of NTFS: "3.1"
	Dirty   bool    // the volume's dirty flag: it was not dismounted, or must be checked
	Journal Journal // $LogFile
	Err     error   // why Label, Version and Dirty are not known; nil if they are

	SectorSize  int   // in bytes
	ClusterSize int   // in bytes
	RecordSize  int   // of $MFT, in bytes
	Clusters    int64 // of the volume
	Size        int64 // in bytes, without the backup boot sector behind it
	Records     int64 // that $MFT has room for
	InUse       int64 // readable records in use, extension records too
}

// Volume describes the volume as it was when it was opened.
func (f *FS) Volume() Volume { return f.volume }

const volumeDirty = 0x0001

// loadVolume reads record 3. Its damage does not keep the volume from being
// read.
func (f *FS) loadVolume() error {
	f.volume = Volume{
		Serial:      f.boot.serial,
		SectorSize:  f.boot.sectorSize,
		ClusterSize: f.boot.clusterSize,
		RecordSize:  f.boot.recordSize,
		Clusters:    f.boot.clusters,
		Size:        f.boot.size,
		Records:     int64(f.records),
		InUse:       f.inUse,
	}
	if err := f.loadVolumeInformation(); err != nil {
		if !recoverable(err) {
			return fmt.Errorf("$Volume: %w", err)
		}
		f.volume.Err = fmt.Errorf("$Volume: %w", err)
		f.note("%v", f.volume.Err)
	}
	f.volume.Journal = f.journal
	return nil
}

// loadVolumeInformation reads the label and
//
//	8  1  major version, 9  1  minor version
//	10 2  flags
//
// libfsntfs, The volume information attribute.
func (f *FS) loadVolumeInformation() error {
	ino, err := f.load(recordVolume)
	if err != nil {
		return err
	}
	info := ino.find(typeVolumeInformation, "")
	if len(info) != 1 || !info[0].resident || len(info[0].value) < 12 {
		return corrupt("record %d has no volume information", recordVolume)
	}
	v := info[0].value
	f.volume.Version = fmt.Sprintf("%d.%d", v[8], v[9])
	f.volume.Dirty = le.Uint16(v[10:])&volumeDirty != 0
	// A volume need not have a label.
	if label := ino.find(typeVolumeName, ""); len(label) == 1 && label[0].resident {
		f.volume.Label = decodeName(label[0].value)
	}
	return nil
}

// Free returns the free space in bytes: the clear bits of $Bitmap times the
// cluster size, bits past the last cluster excluded. It reads all of $Bitmap.
func (f *FS) Free() (int64, error) {
	free, err := f.freeClusters()
	if err != nil {
		return 0, fmt.Errorf("$Bitmap: %w", err)
	}
	return free * int64(f.boot.clusterSize), nil
}

// bitmapRead is how much of $Bitmap is read at a time, in bytes: the bits of
// 32 GiB of clusters of 4 KiB.
const bitmapRead = 1 << 20

func (f *FS) freeClusters() (int64, error) {
	ino, err := f.load(recordBitmap)
	if err != nil {
		return 0, err
	}
	s, err := ino.need(f.disk, typeData, "")
	if err != nil {
		return 0, err
	}
	clusters := f.boot.clusters
	if s.size < (clusters+7)/8 {
		return 0, corrupt("%d bytes for %d clusters", s.size, clusters)
	}
	if s.holes() || s.initialized < (clusters+7)/8 {
		return 0, corrupt("parts of it are not on the volume")
	}
	used := int64(0)
	buf := make([]byte, bitmapRead)
	for at := int64(0); at < clusters; at += 8 * bitmapRead {
		left := min(clusters-at, 8*bitmapRead)
		p := buf[:(left+7)/8]
		if err := s.readAt(p, at/8); err != nil {
			return 0, err
		}
		if left%8 != 0 {
			p[len(p)-1] &= 1<<(left%8) - 1
		}
		used += ones(p)
	}
	return clusters - used, nil
}

func ones(p []byte) int64 {
	n := 0
	for ; len(p) >= 8; p = p[8:] {
		n += bits.OnesCount64(le.Uint64(p))
	}
	for _, b := range p {
		n += bits.OnesCount8(b)
	}
	return int64(n)
}
