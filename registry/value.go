package registry

// A Type is the type of a value's data.
type Type uint32

// The types of values.
const (
	None                     Type = 0
	SZ                       Type = 1
	ExpandSZ                 Type = 2
	Binary                   Type = 3
	DWord                    Type = 4
	DWordBigEndian           Type = 5
	Link                     Type = 6
	MultiSZ                  Type = 7
	ResourceList             Type = 8
	FullResourceDescriptor   Type = 9
	ResourceRequirementsList Type = 10
	QWord                    Type = 11
)

// String returns the type's name as Windows has it, such as "REG_SZ", or its number as "0x…".
func (t Type) String() string { return "" }

// A Value is a value of a key.
type Value struct{}

// Key returns the key that holds the value.
func (v *Value) Key() *Key { return nil }

// Name returns the value's name as it is written in the hive; the default value's is "".
func (v *Value) Name() string { return "" }

// Type returns the type of the data.
func (v *Value) Type() Type { return 0 }

// Offset returns the offset of the data in the hive file, in bytes; of data in several segments, of the first.
func (v *Value) Offset() int64 { return 0 }

// Recovered tells whether the value's record or any of its data came out of a transaction log.
func (v *Value) Recovered() bool { return false }

// Data returns the value's data; it must not be modified.
func (v *Value) Data() ([]byte, error) { return nil, ErrUnsupported }

// String returns the string of a REG_SZ, REG_EXPAND_SZ or REG_LINK value, up to its first NUL.
func (v *Value) String() (string, error) { return "", ErrUnsupported }

// Strings returns the strings of a REG_MULTI_SZ value.
func (v *Value) Strings() ([]string, error) { return nil, ErrUnsupported }

// Uint32 returns the number of a REG_DWORD or REG_DWORD_BIG_ENDIAN value.
func (v *Value) Uint32() (uint32, error) { return 0, ErrUnsupported }

// Uint64 returns the number of a REG_QWORD value.
func (v *Value) Uint64() (uint64, error) { return 0, ErrUnsupported }
