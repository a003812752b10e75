#!/bin/sh
# Runs a command, and again while it ends with 75 (some targets have no record yet) or
# 137 (it was killed): at most TRIES times, 6 unless it is set. It waits DELAY seconds,
# 30 unless it is set, and twice as long each time.
#
#	./retry.sh coldcheck fleet run targets.jsonl --results results
tries=${TRIES:-6}
delay=${DELAY:-30}
while :; do
	"$@"
	code=$?
	case $code in
	75 | 137) ;;
	*) exit "$code" ;;
	esac
	tries=$((tries - 1))
	[ "$tries" -gt 0 ] || exit "$code"
	sleep "$delay"
	delay=$((delay * 2))
done
