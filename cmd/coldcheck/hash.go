package main

import "github.com/spf13/cobra"

// hashFlag declares --hash.
func hashFlag(c *cobra.Command, value *bool) {
	c.Flags().BoolVar(value, "hash", false,
		"hash each image and the disk in it (SHA-256), and compare the hashes that it states; this reads all data. Of a "+
			"remote image, hash only the blocks that the scan reads")
}
