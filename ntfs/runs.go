package ntfs

import "math"

// run is a contiguous piece of an attribute on the disk.
type run struct {
	vcn int64 // first cluster in the attribute
	lcn int64 // first cluster on the volume; hole for one
	n   int64 // clusters
}

const hole = -1

// maxRuns bounds the runs of one attribute, in memory 24 bytes each. The
// longest attribute list there can be (maxList) has room for fewer.
const maxRuns = 4 << 20

// appendRuns decodes mapping pairs: for each run a byte with the lengths of
// two numbers, the count of clusters and the signed distance of its first
// cluster from that of the run before; no distance makes it a hole. Runs that
// touch on the disk are joined. The first run begins at vcn.
//
// libfsntfs, Data runs.
func appendRuns(runs []run, pairs []byte, vcn, clusters int64) ([]run, error) {
	var lcn int64
	for i := 0; ; {
		if i >= len(pairs) {
			return nil, corrupt("run list without an end")
		}
		lengthBytes, distanceBytes := int(pairs[i]&0x0F), int(pairs[i]>>4)
		if pairs[i] == 0 {
			return runs, nil
		}
		i++
		if lengthBytes == 0 || lengthBytes > 8 || distanceBytes > 8 || i+lengthBytes+distanceBytes > len(pairs) {
			return nil, corrupt("run list with lengths of %d and %d bytes", lengthBytes, distanceBytes)
		}
		n := signed(pairs[i : i+lengthBytes])
		i += lengthBytes
		if n <= 0 || vcn > math.MaxInt64-n {
			return nil, corrupt("run of %d clusters", n)
		}
		r := run{vcn: vcn, lcn: hole, n: n}
		if distanceBytes > 0 {
			// Both terms are 64 bits wide: a sum that wraps ends up
			// outside the volume or is a legal way to get inside.
			lcn += signed(pairs[i : i+distanceBytes])
			i += distanceBytes
			if lcn < 0 || lcn >= clusters || n > clusters-lcn {
				return nil, corrupt("run of %d clusters at cluster %d of %d", n, lcn, clusters)
			}
			r.lcn = lcn
		}
		vcn += n
		if last := len(runs) - 1; last >= 0 && runs[last].follows(r) {
			runs[last].n += n
		} else if len(runs) >= maxRuns {
			return nil, unsupported("more than %d runs", maxRuns)
		} else {
			runs = append(runs, r)
		}
	}
}

// follows reports whether next continues r on the disk.
func (r run) follows(next run) bool {
	if r.vcn+r.n != next.vcn {
		return false
	}
	if r.lcn == hole || next.lcn == hole {
		return r.lcn == next.lcn
	}
	return r.lcn+r.n == next.lcn
}

// signed decodes a little-endian two's complement number of 1 to 8 bytes.
func signed(b []byte) int64 {
	var n uint64
	for i := len(b) - 1; i >= 0; i-- {
		n = n<<8 | uint64(b[i])
	}
	shift := 64 - 8*len(b)
	return int64(n<<shift) >> shift
}
