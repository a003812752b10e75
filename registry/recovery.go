package registry

// A State says what became of a hive when it was opened.
type State int

// The states of a hive.
const (
	Clean     State = iota // written completely; logs were not looked at
	Recovered              // dirty, and recovered from its logs
	Dirty                  // dirty, and not or not wholly recovered
	Ignored                // dirty, and Options.NoRecovery asked to show it as it lies
)

// String returns the state in lower case.
func (s State) String() string { return [...]string{"clean", "recovered", "dirty", "ignored"}[s] }

// Recovery tells what was done about a dirty hive.
type Recovery struct {
	State              State
	Format             string       // of the logs that were applied: "", "old" (dirty vector) or "new" (log entries)
	Applied            []AppliedLog // in the order in which they were applied
	Pages              int          // pages written over the hive in memory
	Primary, Secondary uint32       // sequence numbers of the hive as it lies
	Err                error        // wraps ErrDirty if State is Dirty, else nil
	Notes              []string     // what a person should know: logs left out and why
}

// An AppliedLog is a log that was applied to the hive.
type AppliedLog struct {
	Name        string
	Entries     int    // log entries applied; 1 in the old format
	First, Last uint32 // their sequence numbers
}
