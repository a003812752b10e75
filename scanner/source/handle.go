package source

import (
	"container/list"
	"io/fs"
	"os"
	"sync"
)

// maxShared is how many shared files are open at a time while none of them is in
// use. An image may have 10,000 parts, and systems often let a process open 1,024
// files.
const maxShared = 256

// shared are the open files that may be closed, and opened again when they are used.
var shared struct {
	mu    sync.Mutex // also guards the handles that are shared
	order list.List  // of *handle, the last used first
}

// handle is an open file. One that is shared may be closed while nothing uses it.
type handle struct {
	f *os.File // nil while it is closed
	// again opens the file again; nil for a file that is not shared.
	again func() (*os.File, error)

	opening sync.Mutex // one opens it again
	users   int
	closed  bool          // for good
	listed  *list.Element // in shared; nil while it is closed
}

// share makes the file one that may be closed, and opened by again.
func (h *handle) share(again func() (*os.File, error)) {
	h.again = again
	shared.mu.Lock()
	h.listed = shared.order.PushFront(h)
	idle := closeIdle()
	shared.mu.Unlock()
	closeFiles(idle)
}

// use calls do with the open file.
func (h *handle) use(do func(*os.File) error) error {
	if h.again == nil {
		return do(h.f)
	}
	f, err := h.acquire()
	if err != nil {
		return err
	}
	defer h.release()
	return do(f)
}

func (h *handle) acquire() (*os.File, error) {
	h.opening.Lock()
	defer h.opening.Unlock()
	shared.mu.Lock()
	if h.f != nil && !h.closed {
		h.users++
		shared.order.MoveToFront(h.listed)
		shared.mu.Unlock()
		return h.f, nil
	}
	closed := h.closed
	shared.mu.Unlock()
	if closed {
		return nil, fs.ErrClosed
	}
	f, err := h.again()
	if err != nil {
		return nil, err
	}
	shared.mu.Lock()
	if h.closed {
		shared.mu.Unlock()
		f.Close()
		return nil, fs.ErrClosed
	}
	h.f, h.users = f, 1
	h.listed = shared.order.PushFront(h)
	idle := closeIdle()
	shared.mu.Unlock()
	closeFiles(idle)
	return f, nil
}

func (h *handle) release() {
	shared.mu.Lock()
	h.users--
	idle := closeIdle()
	shared.mu.Unlock()
	closeFiles(idle)
}

// close closes the file for good. Later uses fail with fs.ErrClosed.
func (h *handle) close() error {
	if h.again == nil {
		return h.f.Close()
	}
	shared.mu.Lock()
	f := h.f
	if h.closed {
		shared.mu.Unlock()
		return fs.ErrClosed
	}
	h.closed = true
	if f != nil {
		shared.order.Remove(h.listed)
		h.f, h.listed = nil, nil
	}
	shared.mu.Unlock()
	if f == nil {
		return nil
	}
	return f.Close()
}

// closeIdle takes the files that were used longest ago out of those that are open,
// until no more than maxShared are. It skips those that are in use. The caller closes
// them.
func closeIdle() (idle []*os.File) {
	for e := shared.order.Back(); e != nil && shared.order.Len() > maxShared; {
		h, before := e.Value.(*handle), e.Prev()
		if h.users == 0 {
			idle = append(idle, h.f)
			shared.order.Remove(e)
			h.f, h.listed = nil, nil
		}
		e = before
	}
	return idle
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close() // it was only read
	}
}
