package main

import "github.com/spf13/cobra"

// hashFlag declares --hash.
func hashFlag(c *cobra.Command, value *bool) {
	c.Flags().BoolVar(value, "hash", false, "tell the SHA-256 of each image, which is read whole for that")
}
