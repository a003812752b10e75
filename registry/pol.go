package registry

// A PolEntry is an instruction of a Registry.pol file.
type PolEntry struct {
	Key, Value string
	Type       Type
	Data       []byte
}

// ParsePol reads a Registry.pol file.
func ParsePol(data []byte) ([]PolEntry, error) { return nil, ErrUnsupported }
