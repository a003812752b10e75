package ntfs

import (
	"bytes"
	"errors"
	"io/fs"
	"math/bits"
	"slices"
	"testing"
)

// testLog writes a log: the volume was in use, and these are the records from the
// oldest that is needed on.
type testLog struct {
	size   int64
	major  int16
	begin  int64 // page that the first record is in
	log    []byte
	off    int64
	round  uint64
	before map[uint32]uint64 // the last record of each transaction
	lsns   []uint64
	page   int64 // that is being written
}

const testPage = 4096

func newTestLog(size int64, major int16, begin int64) *testLog {
	l := &testLog{size: size, major: major, begin: begin, round: 5, before: map[uint32]uint64{},
		log: bytes.Repeat([]byte{0xFF}, int(size))}
	l.open(begin * testPage)
	return l
}

func (l *testLog) first() int64 {
	if l.major >= 2 {
		return 34
	}
	return 4
}

func (l *testLog) lsnBits() int { return bits.Len64(uint64(l.size)) - 3 }

func (l *testLog) lsn() uint64 { return l.round<<l.lsnBits() | uint64(l.off)>>3 }

// open begins a page, after the last one that of the first again.
func (l *testLog) open(at int64) {
	if at >= l.size/testPage*testPage {
		at, l.round = l.first()*testPage, l.round+1
	}
	l.page, l.off = at, at+64
	p := l.log[at : at+testPage]
	clear(p)
	copy(p, "RCRD")
	le.PutUint16(p[4:], 40)
	le.PutUint16(p[6:], testPage/stride+1)
	le.PutUint16(p[20:], 1)
	le.PutUint16(p[22:], 1)
	le.PutUint16(p[40:], 0x0909)
}

// add writes a record. The place is a cluster, and an offset in it in bytes.
func (l *testLog) add(transaction uint32, redo, undo uint16, redoData, undoData []byte, cluster int64, offset, record,
	attribute int) uint64 {
	if l.off%testPage == 0 || testPage-l.off%testPage < logRecordHeader {
		l.open(l.page + testPage)
	}
	c := make([]byte, 40)
	le.PutUint16(c, redo)
	le.PutUint16(c[2:], undo)
	le.PutUint16(c[4:], 40)
	le.PutUint16(c[6:], uint16(len(redoData)))
	le.PutUint16(c[8:], uint16(40+len(redoData)))
	le.PutUint16(c[10:], uint16(len(undoData)))
	le.PutUint16(c[14:], 1)
	le.PutUint16(c[16:], uint16(record))
	le.PutUint16(c[18:], uint16(attribute))
	le.PutUint16(c[20:], uint16(offset/512))
	le.PutUint64(c[32:], uint64(cluster))
	c = slices.Concat(c, redoData, undoData)
	lsn := l.lsn()
	h := make([]byte, logRecordHeader)
	le.PutUint64(h, lsn)
	le.PutUint64(h[8:], l.before[transaction])
	le.PutUint64(h[16:], l.before[transaction])
	le.PutUint32(h[24:], uint32(len(c)))
	le.PutUint32(h[32:], logRecordData)
	le.PutUint32(h[36:], transaction)
	l.before[transaction] = lsn
	for c = append(h, c...); len(c) > 0; {
		if l.off%testPage == 0 {
			l.open(l.page + testPage)
		}
		le.PutUint64(l.log[l.page+8:], lsn)
		n := min(int64(len(c)), testPage-l.off%testPage)
		copy(l.log[l.off:], c[:n])
		l.off, c = l.off+n, c[n:]
	}
	le.PutUint64(l.log[l.page+32:], lsn)
	l.log[l.page+16] = 1 // a record ends in it
	l.off = (l.off + 7) &^ 7
	l.lsns = append(l.lsns, lsn)
	return lsn
}

func (l *testLog) forget(transaction uint32) { l.add(transaction, opForget, 0, nil, nil, 0, 0, 0, 0) }

// bytes ends the log; newest is the LSN that the restart page has.
func (l *testLog) bytes(newest uint64) []byte {
	log := bytes.Clone(l.log)
	for at := 2 * int64(testPage); at < l.size/testPage*testPage; at += testPage {
		if string(log[at:at+4]) == "RCRD" {
			protect(log[at : at+testPage])
		}
	}
	p := make([]byte, testPage)
	copy(p, "RSTR")
	le.PutUint16(p[4:], 30)
	le.PutUint16(p[6:], testPage/stride+1)
	le.PutUint32(p[16:], testPage)
	le.PutUint32(p[20:], testPage)
	le.PutUint16(p[24:], 48)
	le.PutUint16(p[28:], uint16(l.major))
	le.PutUint16(p[30:], 1)
	a := p[48:]
	le.PutUint64(a, newest)
	le.PutUint16(a[8:], 1)
	le.PutUint32(a[16:], uint32(64-l.lsnBits()))
	le.PutUint16(a[22:], 64)
	le.PutUint64(a[24:], uint64(l.size))
	le.PutUint16(a[36:], logRecordHeader)
	le.PutUint16(a[38:], 64)
	le.PutUint64(a[64:], l.lsns[0])
	le.PutUint64(a[72:], l.lsns[0])
	protect(p)
	copy(log, p)
	copy(log[testPage:], p)
	return log
}

// logged is the small volume, of which a test changes what one file needs: the
// entry of deep/1/2/3/4/5/6/7/8/9/bottom in its folder's index, and its record.
type logged struct {
	*editable
	entry           []byte
	file, folder    uint32
	root, attribute int // where the index root begins in the folder's record, and the entry from there
}

const loggedName = "deep/1/2/3/4/5/6/7/8/9/bottom"

func newLogged(t testing.TB) *logged {
	e := small(t)
	g := &logged{editable: e, file: e.number(loggedName), folder: e.number("deep/1/2/3/4/5/6/7/8/9")}
	editFixed(t, e.record(g.folder), func(r []byte) {
		for at := int(le.Uint16(r[20:])); le.Uint32(r[at:]) != typeEnd; at += int(le.Uint32(r[at+4:])) {
			if le.Uint32(r[at:]) != typeIndexRoot {
				continue
			}
			node := int(le.Uint16(r[at+20:])) + 16
			g.root, g.attribute = at, node+int(le.Uint32(r[at+node:]))
			entry := r[at+g.attribute:]
			g.entry = bytes.Clone(entry[:le.Uint16(entry[8:])])
		}
	})
	if string(decodeName(g.entry[16+66:16+66+12])) != "bottom" {
		t.Fatalf("%x", g.entry)
	}
	return g
}

// place returns the cluster and the offset in it of a record.
func (g *logged) place(number uint32) (int64, int) {
	size := g.f.disk.clusterSize
	at := g.f.mft.runs[0].lcn*size + int64(number)*int64(g.f.boot.recordSize)
	return at / size, int(at % size)
}

// deletion adds the deletion of the file.
func (g *logged) deletion(l *testLog, transaction uint32) {
	c, o := g.place(g.folder)
	l.add(transaction, opDeleteEntryRoot, opAddEntryRoot, nil, g.entry, c, o, g.root, g.attribute)
	r := bytes.Clone(g.editable.record(g.file))
	fixup(r)
	c, o = g.place(g.file)
	l.add(transaction, opDeallocateRecord, opInitializeRecord, nil, r[:le.Uint32(r[24:])], c, o, 0, 0)
}

// filler adds a record without consequence.
func (g *logged) filler(l *testLog, n int) {
	l.add(0x40, opNoop, opNoop, make([]byte, n), nil, 0, 0, 0, 0)
}

// openWith opens the volume with a log.
func (g *logged) openWith(log []byte) *FS {
	g.t.Helper()
	file, err := g.f.Open("$LogFile")
	if err != nil {
		g.t.Fatal(err)
	}
	s := file.(*File).content.(*stream)
	if len(s.runs) != 1 || int64(len(log)) > s.size {
		g.t.Fatalf("a log of %d bytes in %d runs", s.size, len(s.runs))
	}
	image := bytes.Clone(g.image)
	copy(image[s.runs[0].lcn*g.f.disk.clusterSize:], log)
	f, err := openBytes(image)
	if err != nil {
		g.t.Fatal(err)
	}
	return f
}

func (g *logged) logSize() int64 {
	info, err := g.f.Stat("$LogFile")
	if err != nil {
		g.t.Fatal(err)
	}
	return info.Size()
}

func TestReplay(t *testing.T) {
	const there, gone, unapplied = "there", "gone", "unapplied"
	last := func(l *testLog) uint64 { return l.lsns[len(l.lsns)-1] }
	for name, test := range map[string]struct {
		log  func(g *logged) []byte
		want string
	}{
		"finished": {func(g *logged) []byte {
			l := newTestLog(g.logSize(), 1, 4)
			g.deletion(l, 0x18)
			l.forget(0x18)
			return l.bytes(last(l))
		}, gone},
		"version 2": {func(g *logged) []byte {
			l := newTestLog(g.logSize(), 2, 40)
			g.deletion(l, 0x18)
			l.forget(0x18)
			return l.bytes(last(l))
		}, gone},
		"version 3": {func(g *logged) []byte {
			l := newTestLog(g.logSize(), 3, 40)
			g.deletion(l, 0x18)
			l.forget(0x18)
			return l.bytes(last(l))
		}, unapplied},
		"restart page that is older": {func(g *logged) []byte {
			l := newTestLog(g.logSize(), 1, 4)
			g.deletion(l, 0x18)
			l.forget(0x18)
			return l.bytes(l.lsns[0])
		}, gone},
		"not finished": {func(g *logged) []byte {
			l := newTestLog(g.logSize(), 1, 4)
			g.deletion(l, 0x18)
			return l.bytes(last(l))
		}, there},
		"not finished, another was": {func(g *logged) []byte {
			l := newTestLog(g.logSize(), 1, 4)
			g.deletion(l, 0x18)
			g.filler(l, 10)
			l.forget(0x40)
			return l.bytes(last(l))
		}, there},
		"records over several pages": {func(g *logged) []byte {
			l := newTestLog(g.logSize(), 1, 4)
			g.filler(l, 10000)
			g.deletion(l, 0x18)
			g.filler(l, 3900)
			l.forget(0x18)
			return l.bytes(last(l))
		}, gone},
		"past the end of the ring": {func(g *logged) []byte {
			size := g.logSize()
			l := newTestLog(size, 1, size/testPage-2)
			g.filler(l, 7000)
			g.deletion(l, 0x18)
			g.filler(l, 3000)
			l.forget(0x18)
			if l.round != 6 {
				t.Error("it does not go round")
			}
			return l.bytes(last(l))
		}, gone},
		"its last record is missing": {func(g *logged) []byte {
			l := newTestLog(g.logSize(), 1, 4)
			g.deletion(l, 0x18)
			newest := last(l)
			g.filler(l, 5000) // makes the next one of another page
			l.forget(0x18)
			log := l.bytes(newest)
			log[l.page+testPage-1] ^= 1
			return log
		}, there},
		"the restart page has more": {func(g *logged) []byte {
			l := newTestLog(g.logSize(), 1, 4)
			g.deletion(l, 0x18)
			g.filler(l, 5000)
			l.forget(0x18)
			log := l.bytes(last(l))
			log[l.page+testPage-1] ^= 1
			return log
		}, unapplied},
		"a page in the middle is torn": {func(g *logged) []byte {
			l := newTestLog(g.logSize(), 1, 4)
			g.deletion(l, 0x18)
			newest := last(l)
			g.filler(l, 9000)
			l.forget(0x18)
			log := l.bytes(newest)
			log[6*testPage-1] ^= 1
			return log
		}, unapplied},
		"the oldest record is missing": {func(g *logged) []byte {
			l := newTestLog(g.logSize(), 1, 4)
			g.deletion(l, 0x18)
			l.forget(0x18)
			l.lsns[0] += 1000
			return l.bytes(last(l))
		}, unapplied},
		"the last page in its copy": {func(g *logged) []byte {
			l := newTestLog(g.logSize(), 1, 4)
			g.deletion(l, 0x18)
			l.forget(0x18)
			tail := l.log[3*testPage:][:testPage]
			copy(tail, l.log[4*testPage:][:testPage])
			le.PutUint64(tail[8:], 4*testPage)
			log := l.bytes(last(l))
			log[5*testPage-1] ^= 1 // the page itself
			return log
		}, gone},
		"the last page in its copy, version 2": {func(g *logged) []byte {
			l := newTestLog(g.logSize(), 2, 36)
			g.deletion(l, 0x18)
			l.forget(0x18)
			tail := l.log[7*testPage:][:testPage]
			copy(tail, l.log[36*testPage:][:testPage])
			le.PutUint32(tail[60:], 36*testPage)
			log := l.bytes(last(l))
			for i := range testPage {
				log[36*testPage+i] = 0xFF
			}
			return log
		}, gone},
		"an old copy": {func(g *logged) []byte {
			l := newTestLog(g.logSize(), 1, 4)
			g.filler(l, 10)
			tail := l.log[2*testPage:][:testPage]
			copy(tail, l.log[4*testPage:][:testPage])
			le.PutUint64(tail[8:], 4*testPage)
			g.deletion(l, 0x18)
			l.forget(0x18)
			return l.bytes(last(l))
		}, gone},
		"an operation that is not known": {func(g *logged) []byte {
			l := newTestLog(g.logSize(), 1, 4)
			g.deletion(l, 0x18)
			l.add(0x18, 0x77, 0, nil, nil, 0, 0, 0, 0)
			l.forget(0x18)
			return l.bytes(last(l))
		}, unapplied},
	} {
		t.Run(name, func(t *testing.T) {
			g := newLogged(t)
			f := g.openWith(test.log(g))
			r := f.Volume().Journal
			if state := f.Volume().Journal.State; !state.Pending() {
				t.Fatalf("the log is %s", state)
			}
			_, err := f.Stat(loggedName)
			list, listErr := f.ReadDir("deep/1/2/3/4/5/6/7/8/9")
			if listErr != nil {
				t.Error(listErr)
			}
			switch test.want {
			case there:
				if err != nil || r.Err != nil || len(list) != 1 || r.Undone != 1 {
					t.Errorf("%v, %d names, %+v", err, len(list), r)
				}
			case gone:
				if !errors.Is(err, fs.ErrNotExist) || r.Err != nil || len(list) != 0 || r.Blocks != 2 || r.Unsure != 0 {
					t.Errorf("%v, %d names, %+v", err, len(list), r)
				}
			case unapplied:
				if err != nil || r.Err == nil || len(list) != 1 || r.Blocks != 0 {
					t.Errorf("%v, %d names, %+v", err, len(list), r)
				}
			}
		})
	}
}

// A change that does not fit its record makes that one that cannot be read, and
// nothing else.
func TestReplayUnsure(t *testing.T) {
	g := newLogged(t)
	l := newTestLog(g.logSize(), 1, 4)
	c, o := g.place(g.folder)
	l.add(0x18, opDeleteEntryRoot, opAddEntryRoot, nil, g.entry, c, o, g.root, g.attribute+1000)
	l.forget(0x18)
	f := g.openWith(l.bytes(l.lsns[1]))
	if r := f.Volume().Journal; r.Err != nil || r.Unsure != 1 || r.Blocks != 1 {
		t.Errorf("%+v", r)
	}
	if _, err := f.Stat(loggedName); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
	if got := f.Damage().Records; len(got) != 1 || got[0] != (DamagedRecord{uint64(g.folder), reasonPending.Error()}) {
		t.Errorf("%v", got)
	}
	if _, err := f.Stat("deep/elsewhere"); err != nil {
		t.Error(err)
	}
}

// Changes that the disk has are not made again.
func TestReplayHas(t *testing.T) {
	g := newLogged(t)
	l := newTestLog(g.logSize(), 1, 4)
	g.deletion(l, 0x18)
	l.forget(0x18)
	for i, number := range []uint32{g.folder, g.file} {
		g.editRecord(number, func(r []byte) { le.PutUint64(r[8:], l.lsns[i]) })
	}
	f := g.openWith(l.bytes(l.lsns[2]))
	if r := f.Volume().Journal; r.Err != nil || r.Blocks != 0 || r.Records != 3 || r.Transactions != 1 {
		t.Errorf("%+v", r)
	}
	if _, err := f.Stat(loggedName); err != nil {
		t.Error(err)
	}
}

// FuzzReplay changes words of a log, and makes records of any kind.
func FuzzReplay(f *testing.F) {
	g := newLogged(f)
	whole := newTestLog(g.logSize(), 1, 4)
	g.deletion(whole, 0x18)
	whole.forget(0x18)
	f.Add([]byte{}, []byte{})
	for op := range byte(opLast + 1) {
		f.Add([]byte{op, 0, 56, 0, 24, 8}, []byte{1, 2, 3, 4, 5, 6, 7, 8})
	}
	f.Add([]byte{opUpdateResident, 1, 152, 0, 24, 0, opSetSizes, 2, 200, 1, 0, 0}, bytes.Repeat([]byte{7}, 40))
	f.Fuzz(func(t *testing.T, changes, data []byte) {
		g.t = t
		if len(changes) > 300 || len(data) > 2000 {
			return
		}
		l := newTestLog(whole.size, 1+int16(len(data)%2), 50)
		g.deletion(l, 0x18)
		for ; len(changes) >= 6; changes = changes[6:] {
			number := uint32(changes[1])
			c, o := g.place(number % g.f.records)
			l.add(0x18+uint32(changes[1]%3), uint16(changes[0]), uint16(changes[0])+1, data, data, c, o,
				int(changes[2])+int(changes[3])<<8, int(changes[4])+int(changes[5])<<8)
		}
		log := l.bytes(l.lsns[len(l.lsns)-1])
		file, err := g.f.Open("$LogFile")
		if err != nil {
			t.Fatal(err)
		}
		image := bytes.Clone(g.image)
		copy(image[file.(*File).content.(*stream).runs[0].lcn*g.f.disk.clusterSize:], log)
		useVolume(t, image)
	})
}
