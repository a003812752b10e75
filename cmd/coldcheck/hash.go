package main

import "github.com/spf13/cobra"

// hashFlag declares --hash.
func hashFlag(c *cobra.Command, value *bool) {
	c.Flags().BoolVar(value, "hash", false, "hash each image (SHA-256); this reads all of its data")
}
