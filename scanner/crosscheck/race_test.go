//go:build race

package crosscheck

// raceDetector is set where the race detector maps memory of its own, so that a
// child ends in other words, or holds more.
const raceDetector = true
