package xfs

// LogState says what became of the log.
type LogState int

// States of a log.
const (
	LogClean    LogState = iota // nothing was to be done
	LogReplayed                 // what it holds is part of what is read
	LogFailed                   // it holds changes that cannot be replayed
)

func (s LogState) String() string {
	switch s {
	case LogClean:
		return "clean"
	case LogReplayed:
		return "replayed"
	}
	return "failed"
}

// Log tells what was in the log.
type Log struct {
	State    LogState
	Err      error // why it cannot be replayed, if State is LogFailed; ErrCorrupt or ErrUnsupported
	External bool  // it is on another device
	Size     int64 // in bytes
}

func (f *FS) recover() (Log, error) { return Log{}, nil }

func (f *FS) recovered(group uint32, g *agf, i *agi) (recovery, error) { return recovery{}, nil }
