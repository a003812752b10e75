package statement

import (
	"strings"
	"testing"
)

func BenchmarkParse(b *testing.B) {
	entry := describeWorkspaces[strings.Index(describeWorkspaces, "        {"):strings.Index(describeWorkspaces,
		"        {\"WorkspaceId\": \"ws-9876")]
	list := []byte(`{"Workspaces": [` + strings.TrimRight(strings.Repeat(entry, 1000), ", \n") + "]}")
	for name, data := range map[string][]byte{"WorkSpaces-1000": list, "slmgr": []byte(english)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := Parse("bench", data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
