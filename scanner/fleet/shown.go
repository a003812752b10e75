package fleet

import "github.com/coldcheck/coldcheck/scanner/source"

// ShownImages are the names of the images as reports may show them: without the user, the
// password and the query of a URL.
func (t Target) ShownImages() []string {
	list := make([]string, len(t.Images))
	for i, name := range t.Images {
		list[i] = source.ShownName(name)
	}
	return list
}
