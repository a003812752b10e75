package windows

import (
	"testing"

	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
)

func TestImageCodes(t *testing.T) {
	service := machine.Service{Name: "PCoIPAgent", Key: evidence}
	eleven, ten := machine.System{Build: machine.Build11, Client: true}, machine.System{Build: 19045, Client: true}
	disk := Mount{Letter: "D", Disk: true, Device: "mbr 1", Evidence: evidence}
	for name, c := range map[string]struct {
		got, want any
	}{
		"memory integrity off":         {judgeMemoryIntegrity(memoryIntegrity{}).Status, passed.status},
		"memory integrity 0":           {judgeMemoryIntegrity(memoryIntegrity{Enabled: number(0)}).Status, passed.status},
		"memory integrity on":          {judgeMemoryIntegrity(memoryIntegrity{Enabled: number(1)}).Status, warning.status},
		"memory integrity by policy":   {judgeMemoryIntegrity(memoryIntegrity{Policy: number(2)}).Status, warning.status},
		"memory integrity, policy off": {judgeMemoryIntegrity(memoryIntegrity{Policy: number(0)}).Status, passed.status},
		"pcoip on Windows 11":          {judgeStreaming(eleven, service).Status, warning.status},
		"pcoip on Windows 10":          {judgeStreaming(ten, service).Status, passed.status},
		"no pcoip on Windows 11":       {judgeStreaming(eleven, machine.Service{}).Status, passed.status},
		"pcoip on a server of that age": {judgeStreaming(machine.System{Build: machine.Build11 + 1}, service).Status,
			passed.status},
		"no letter D":          {judgeDriveLetterD(nil, "mbr 1").Status, passed.status},
		"D is the user volume": {judgeDriveLetterD([]Mount{{Letter: "C"}, disk}, "mbr 1").Status, passed.status},
		"D is another disk":    {judgeDriveLetterD([]Mount{disk}, "mbr 2").Status, warning.status},
		"D is a CD-ROM": {judgeDriveLetterD([]Mount{{Letter: "D", Device: "SCSI#CdRom", Evidence: evidence}},
			"mbr 2").Status, warning.status},
		"D cannot be compared": {judgeDriveLetterD([]Mount{disk}, "").Status, undetermined.status},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
}
