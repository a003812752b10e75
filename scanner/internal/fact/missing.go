package fact

import "errors"

// ErrNoUserVolume is the error of what needs the user volume where its image was not given. Its text is the same in
// every finding, and names the volume itself.
var ErrNoUserVolume = errors.New("the user volume was not given. Add its image")
