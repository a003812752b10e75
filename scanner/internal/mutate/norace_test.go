//go:build linux && !race

package mutate_test

const raceDetector = false
