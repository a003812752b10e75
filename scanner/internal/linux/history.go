package linux

import (
	"context"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/history"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// History adds what changed on the machine: packages that were installed or upgraded. dpkg does not record when: the
// times are those of its lists of files.
func (m *Machine) History(ctx context.Context, l *history.Log) {
	own := m.Within(ctx)
	db, err := own.Packages()
	if err != nil {
		l.Source("packages", requirement.Evidence{}, err)
		return
	}
	ev := own.ofPackages(db)
	list, err := db.Packages()
	for _, p := range list {
		if p.IsInstalled() {
			l.Add(history.Change{Time: p.Installed, Kind: history.Package, Subject: p.Name,
				What:     "Package " + prose.Short(p.Name+" "+version(p)) + " was installed or upgraded",
				Evidence: []requirement.Evidence{ev}})
		}
	}
	l.Source("packages", ev, err)
}
