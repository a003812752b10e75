// Package fslog has the states of a filesystem's journal, which are the same
// for every filesystem.
package fslog

// State is the state of a volume's journal when the volume was opened, and the
// result of its replay.
type State int

// States of a journal.
const (
	None     State = iota // the volume has none
	Clean                 // the volume was unmounted: nothing was to be done
	Empty                 // it is as it was made, without a word on how the volume was left
	Replayed              // the volume was in use, and the journal's changes are applied
	Failed                // the volume was in use, and the journal's changes cannot be replayed
	Corrupt               // it cannot be read: whether it holds changes is not known
)

func (s State) String() string {
	switch s {
	case None:
		return "none"
	case Clean:
		return "clean"
	case Empty:
		return "empty"
	case Replayed:
		return "replayed"
	case Failed:
		return "failed"
	}
	return "corrupt"
}

// Pending reports whether the journal held changes that the volume lacked: it
// was in use when it was taken.
func (s State) Pending() bool { return s == Replayed || s == Failed }
