package ntfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
)

var le = binary.LittleEndian

const (
	bootSize = 512

	minSector  = 512
	maxSector  = 4096
	minCluster = 512
	maxCluster = 2 << 20 // Windows 10 and Server 2019 format no larger

	// The update sequence array protects strides of this size, whatever the
	// sector size is.
	stride = 512
)

// boot is the boot sector, and where on the disk that puts things.
//
//	 3  8  "NTFS    "
//	11  2  bytes per sector
//	13  1  sectors per cluster; above 0x80: 2^(256-b)
//	40  8  sectors of the volume
//	48  8  first cluster of $MFT
//	56  8  first cluster of $MFTMirr
//	64  1  clusters per file record; if negative: 2^-b bytes
//	68  1  clusters per index block, likewise
//	72  8  serial number
//	510 2  0xAA55
//
// libfsntfs, "New Technologies File System", The volume header.
type boot struct {
	sectorSize  int
	clusterSize int
	recordSize  int
	clusters    int64
	size        int64 // of the volume in bytes, without the backup boot sector
	mft         int64 // offset in bytes
	mirror      int64 // offset in bytes
	serial      uint64
}

// readBoot returns the boot sector, or the backup at the end of the volume if
// the first is damaged; the note says so.
func readBoot(r io.ReaderAt, size int64) (boot, string, error) {
	var buf [bootSize]byte
	if size < bootSize {
		return boot{}, "", corrupt("%d bytes are too few for an NTFS volume", size)
	}
	if err := readFull(r, buf[:], 0); err != nil {
		return boot{}, "", fmt.Errorf("boot sector: %w", err)
	}
	b, err := parseBoot(buf[:])
	if err == nil || errors.Is(err, ErrUnsupported) || errors.Is(err, ErrEncrypted) {
		return b, "", err
	}
	// The sector size is not known now, so the last sector of each is tried.
	for sector := int64(minSector); sector <= maxSector; sector *= 2 {
		at := (size/sector - 1) * sector
		if at <= 0 {
			break
		}
		if rerr := readFull(r, buf[:], at); rerr != nil {
			return boot{}, "", fmt.Errorf("backup boot sector: %w", rerr)
		}
		if backup, berr := parseBoot(buf[:]); berr == nil && backup.size <= at {
			return backup, fmt.Sprintf("the boot sector is damaged (%v); the backup at byte %d was used", err, at), nil
		}
	}
	return boot{}, "", fmt.Errorf("boot sector: %w", err)
}

func parseBoot(b []byte) (boot, error) {
	switch string(b[3:11]) {
	case "NTFS    ":
	case "-FVE-FS-":
		return boot{}, fmt.Errorf("%w: the volume is encrypted with BitLocker", ErrEncrypted)
	default:
		return boot{}, corrupt("no NTFS signature")
	}
	if le.Uint16(b[510:]) != 0xAA55 {
		return boot{}, corrupt("no 0xAA55 at its end")
	}
	v := boot{sectorSize: int(le.Uint16(b[11:])), serial: le.Uint64(b[72:])}
	if !powerOfTwo(v.sectorSize, minSector, maxSector) {
		return boot{}, corrupt("sectors of %d bytes", v.sectorSize)
	}
	perCluster := int(b[13])
	if perCluster > 0x80 {
		if perCluster = 256 - perCluster; perCluster > 21 {
			return boot{}, corrupt("clusters of 2^%d sectors", perCluster)
		}
		perCluster = 1 << perCluster
	}
	v.clusterSize = perCluster * v.sectorSize
	if !powerOfTwo(v.clusterSize, minCluster, maxCluster) {
		return boot{}, corrupt("clusters of %d bytes", v.clusterSize)
	}
	if n := int(int8(b[64])); n > 0 {
		v.recordSize = n * v.clusterSize
	} else if n > -32 {
		v.recordSize = 1 << -n
	}
	if v.recordSize != 1024 && v.recordSize != 4096 {
		if !powerOfTwo(v.recordSize, stride, maxCluster) {
			return boot{}, corrupt("file records of %d bytes", v.recordSize)
		}
		return boot{}, unsupported("file records of %d bytes", v.recordSize)
	}
	sectors := le.Uint64(b[40:])
	if hi, lo := bits.Mul64(sectors, uint64(v.sectorSize)); hi != 0 || lo > 1<<62 || sectors < uint64(perCluster) {
		return boot{}, corrupt("a volume of %d sectors", sectors)
	}
	v.size = int64(sectors) * int64(v.sectorSize)
	v.clusters = v.size / int64(v.clusterSize)
	mft, mirror := le.Uint64(b[48:]), le.Uint64(b[56:])
	if mft == 0 || mft >= uint64(v.clusters) {
		return boot{}, corrupt("$MFT at cluster %d of %d", mft, v.clusters)
	}
	v.mft = int64(mft) * int64(v.clusterSize)
	v.mirror = -1
	if mirror != 0 && mirror < uint64(v.clusters) {
		v.mirror = int64(mirror) * int64(v.clusterSize)
	}
	return v, nil
}

func powerOfTwo(n, lowest, highest int) bool {
	return n >= lowest && n <= highest && n&(n-1) == 0
}

// readFull reads all of p. That an io.ReaderAt may end with io.EOF together
// with the last byte is of no interest here.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%d bytes at byte %d: %w", len(p), off, err)
}
