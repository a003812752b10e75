package scanner

import "context"

// OpenOne opens an image with one disk, for tests in other packages.
var OpenOne = openImage

// openImage opens an image with one disk.
func openImage(ctx context.Context, s Source) (*Image, error) {
	images, err := OpenImages(ctx, s, OpenOptions{})
	if err != nil {
		return nil, err
	}
	return images[0], nil
}
