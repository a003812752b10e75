package ntfs

// SmallImage returns the volume of testdata/small.img.gz.
var SmallImage = unpackSmall
