package main

import "github.com/spf13/cobra"

// scanExits are the exit codes of scan and demo, as exitCode makes them.
var scanExits = []helpEntry{
	{"0", "READY: every requirement that was checked is met"},
	{"1", "NOT READY: a requirement is not met"},
	{"3", "INCONCLUSIVE: a requirement could not be decided"},
	{"4", "no scan was possible: not a disk image, an image that is damaged or lacks its parent, no supported system, " +
		"or an encrypted root volume"},
	{"64", "wrong usage; nothing was written"},
	{"74", "a file could not be opened, read or written"},
	{"75", "a remote image could not be read for a reason that may pass"},
	{"130, 143", "interrupted, terminated"},
}

// otherExits are those of the commands that differ.
var otherExits = map[string][]helpEntry{
	"coldcheck diff": {
		{"0", "nothing broke and nothing was newly found"},
		{"1", "a requirement is not met that was met or undetermined"},
		{"3", "a requirement that was decided is undetermined now"},
		{"64", "wrong usage, or a file is not a report"},
		{"74", "a file could not be read or written"},
	},
	"coldcheck explain": {
		{"0", "done, whether the failures are explained or not"},
		{"4", "no examination was possible: not a disk image, an image that is damaged or lacks its parent, no supported " +
			"system, or an encrypted root volume"},
		{"64", "wrong usage; nothing was written"},
		{"74", "a file could not be opened, read or written"},
		{"75", "a remote image could not be read for a reason that may pass"},
		{"130, 143", "interrupted, terminated"},
	},
	"coldcheck remediate": {
		{"0", "the script was written"},
		{"64", "wrong usage, or the file is not a report"},
		{"74", "a file could not be read or written"},
	},
	"coldcheck verify": {
		{"0", "the signature is valid, the result is PASSED, and every image that was named is one that was scanned"},
		{"1", "the signature is valid: a requirement is not met"},
		{"3", "the signature is valid: a requirement could not be decided, or the scan is older than --max-age"},
		{"4", "the signature is not valid, the file is not a signed result, or it is about other images or rule books"},
		{"64", "wrong usage, or the file of the key has no public key"},
		{"74", "a file could not be read or written"},
	},
	"coldcheck fleet export": {
		{"0", "every record was exported, whatever the verdicts"},
		{"3", "records are damaged; all others were exported"},
		{"64", "wrong usage, or there are no records; nothing was written"},
		{"74", "a record could not be read, or a file could not be written"},
		{"75", "records could not be read for a reason that may pass"},
	},
	"coldcheck fleet report": {
		{"0", "every machine is ready"},
		{"1", "a machine is not ready"},
		{"3", "a machine is inconclusive, cannot be scanned or has no record, or there are no machines"},
		{"64", "wrong usage, or a mistake in the list of targets"},
		{"74", "the records could not be read, or a report could not be written"},
		{"75", "the records could not be read for a reason that may pass"},
		{"130, 143", "interrupted, terminated"},
	},
	"coldcheck facts": {
		{"0", "the facts were written, whatever is unknown"},
		{"4", "the images cannot be read: not a disk image, no supported system, or an encrypted root volume"},
		{"64", "wrong usage, or a mistake in the rules"},
		{"74", "a file could not be opened, read or written"},
		{"75", "a remote image could not be read for a reason that may pass"},
	},
	"coldcheck rules test": {
		{"0", "every expectation is met"},
		{"1", "an expectation is not met"},
		{"64", "wrong usage, or a mistake in the rules or tests"},
		{"74", "a file could not be read"},
	},
	"coldcheck requirements": {
		{"0", "the requirements were written"},
		{"64", "wrong usage, or an unknown ID"},
		{"74", "a file could not be written"},
	},
	"coldcheck fleet run": {
		{"0", "every target has a record, whatever its verdict"},
		{"64", "wrong usage, or a mistake in the list; nothing was scanned"},
		{"74", "the list could not be read, or the records could not be written"},
		{"75", "a target has no record, and may have one next time"},
		{"130, 143", "interrupted, terminated"},
	},
	"coldcheck inspect": {
		{"0", "done, even if the image is damaged"},
		{"4", "the file is not an image or a hive that can be read"},
		{"64", "wrong usage"},
		{"74", "a file could not be opened, read or written"},
		{"75", "a remote image could not be read for a reason that may pass"},
	},
}

// exitsOf are the exit codes that the help of a command lists.
func exitsOf(c *cobra.Command) []helpEntry {
	switch path := c.CommandPath(); path {
	case "coldcheck", "coldcheck scan", "coldcheck demo":
		return scanExits
	default:
		if c.HasParent() && c.Parent().Name() == "inspect" {
			path = c.Parent().CommandPath()
		}
		return otherExits[path]
	}
}
