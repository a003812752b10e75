package windows

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/volume"
)

// judged is one outcome of a test, with what it should be.
type judged struct {
	entry entry
	o     requirement.Outcome
	want  verdict
}

func checkAll(t *testing.T, list map[string]judged) {
	t.Helper()
	for name, c := range list {
		t.Run(name, func(t *testing.T) { check(t, c.entry, c.o, c.want) })
	}
}

// client is Windows of a build with an edition.
func client(build int, edition string) machine.System {
	return machine.System{ProductName: "Windows 10", EditionID: edition, Major: 10, Build: build, Client: true,
		Evidence: []requirement.Evidence{evidence}}
}

var windows24H2 = client(26100, "Enterprise")

func TestBYOLSystem(t *testing.T) {
	system := func(build int, edition string) requirement.Outcome {
		return judgeBYOLSystem(client(build, edition), "amd64", machine.Program{})
	}
	kernel := func(build int) machine.Program {
		return machine.Program{File: there, Processor: machine.ProcessorAMD64, Build: build}
	}
	checkAll(t, map[string]judged{
		"10 22H2":                   {byolOS, system(19045, "Professional"), passed},
		"10 22H2 without edition":   {byolOS, system(19045, ""), passed},
		"LTSC 2019":                 {byolOS, system(17763, "EnterpriseS"), passed},
		"LTSC 2019 for the IoT":     {byolOS, system(17763, "IoTEnterpriseS"), warning},
		"10 1809":                   {byolOS, system(17763, "Enterprise"), warning},
		"LTSC 2021":                 {byolOS, system(19044, "EnterpriseS"), passed},
		"10 21H2":                   {byolOS, system(19044, "Enterprise"), warning},
		"10 1507":                   {byolOS, system(10240, "Enterprise"), failed},
		"10 1511":                   {byolOS, system(10586, "Enterprise"), warning},
		"a build between two":       {byolOS, system(19046, "Enterprise"), failed},
		"11 21H2":                   {byolOS, system(22000, "Enterprise"), warning},
		"11 22H2":                   {byolOS, system(22621, "Enterprise"), passed},
		"11 22H2, N":                {byolOS, system(22621, "EnterpriseN"), passed},
		"11 22H2, Education":        {byolOS, system(22621, "Education"), warning},
		"11 22H2 without edition":   {byolOS, system(22621, ""), undetermined},
		"11 23H2":                   {byolOS, system(22631, "Enterprise"), passed},
		"11 24H2":                   {byolOS, system(26100, "Enterprise"), passed},
		"LTSC 2024":                 {byolOS, system(26100, "EnterpriseS"), passed},
		"LTSC 2024 of another year": {byolOS, system(26200, "EnterpriseS"), warning},
		"11 25H2":                   {byolOS, system(26200, "Enterprise"), passed},
		"11, next":                  {byolOS, system(26300, "Enterprise"), failed},
		"a server":                  {byolOS, judgeBYOLSystem(server2019, "amd64", machine.Program{}), failed},
		"32-bit":                    {byolOS, judgeBYOLSystem(windows24H2, "x86", machine.Program{}), failed},
		"ARM":                       {byolOS, judgeBYOLSystem(windows24H2, "arm64", machine.Program{}), failed},
		"the kernel's own build":    {byolOS, judgeBYOLSystem(windows24H2, "amd64", kernel(26100)), passed},
		"a kernel of its base":      {byolOS, judgeBYOLSystem(client(19045, "Enterprise"), "amd64", kernel(19041)), passed},
		"another kernel":            {byolOS, judgeBYOLSystem(windows24H2, "amd64", kernel(22621)), undetermined},

		"no N":      {byolEditionN, judgeEditionN(words("Enterprise")), passed},
		"N":         {byolEditionN, judgeEditionN(words("EnterpriseN")), failed},
		"S N":       {byolEditionN, judgeEditionN(words("EnterpriseSN")), failed},
		"KN":        {byolEditionN, judgeEditionN(words("ProfessionalKN")), failed},
		"N inside":  {byolEditionN, judgeEditionN(words("ProfessionalWorkstation")), passed},
		"no name":   {byolEditionN, judgeEditionN(words(" ")), undetermined},
		"no value":  {byolEditionN, judgeEditionN(absent[string]()), undetermined},
		"education": {byolEditionN, judgeEditionN(words("Education")), passed},

		"AMD64":               {byolX64, judgeX64(words("AMD64"), machine.Program{}), passed},
		"AMD64 twice":         {byolX64, judgeX64(words("amd64"), kernel(0)), passed},
		"AMD64 by the kernel": {byolX64, judgeX64(absent[string](), kernel(0)), passed},
		"x86":                 {byolX64, judgeX64(words("x86"), machine.Program{}), failed},
		"ARM64 by the kernel": {byolX64,
			judgeX64(absent[string](), machine.Program{Processor: machine.ProcessorARM64}), failed},
		"a contradiction": {byolX64,
			judgeX64(words("AMD64"), machine.Program{Processor: machine.ProcessorX86}), undetermined},
		"nothing of the processor": {byolX64, judgeX64(absent[string](), machine.Program{}), undetermined},

		"activation":    {byolActivation, judgeActivation(words("kms.example.com")), passed},
		"no activation": {byolActivation, judgeActivation(absent[string]()), passed},
		"a trace":       {byolTrace, judgeBYOLTrace([]machine.Setting[string]{words("1")}, evidence), passed},
		"no trace":      {byolTrace, judgeBYOLTrace(nil, evidence), passed},
	})
}

func TestLanguage(t *testing.T) {
	english := languages{Install: words("0409"), Default: words("0409")}
	british, german, missingOne, preferred := english, english, english, english
	british.Default = words("0809")
	german.Install = words("0407")
	missingOne.Install = absent[string]()
	preferred.Preferred = machine.Setting[[]string]{Value: []string{"de-DE"}, Present: true, Evidence: evidence}
	checkAll(t, map[string]judged{
		"English":   {byolLanguage, judgeLanguage(english), passed},
		"British":   {byolLanguage, judgeLanguage(british), warning},
		"German":    {byolLanguage, judgeLanguage(german), warning},
		"missing":   {byolLanguage, judgeLanguage(missingOne), undetermined},
		"preferred": {byolLanguage, judgeLanguage(preferred), warning},
	})
}

func TestOffice(t *testing.T) {
	code := func(product string) Office {
		return Office{Codes: []officeCode{{Product: product, Title: "Office", Evidence: evidence}}}
	}
	run := func(ids string, codes ...string) Office {
		o := Office{Products: words(ids), Run: machine.Key{Key: &registry.Key{}, Evidence: evidence}}
		for _, c := range codes {
			o.Codes = append(o.Codes, code(c).Codes...)
		}
		return o
	}
	without := run("")
	without.Products = absent[string]()
	broken := run("", "0011")
	checkAll(t, map[string]judged{
		"none":                       {byolOffice, judgeOffice(Office{}), passed},
		"a suite":                    {byolOffice, judgeOffice(code("0011")), failed},
		"a stub alone":               {byolOffice, judgeOffice(code("008C")), warning},
		"a viewer":                   {byolOffice, judgeOffice(code("003F")), warning},
		"Microsoft 365":              {byolOffice, judgeOffice(run("O365ProPlusRetail")), passed},
		"Microsoft 365 and stubs":    {byolOffice, judgeOffice(run("o365proplusretail", "008C", "007E")), passed},
		"Microsoft 365 and a suite":  {byolOffice, judgeOffice(run("O365ProPlusRetail", "0012")), failed},
		"Microsoft 365 and Visio":    {byolOffice, judgeOffice(run("O365ProPlusRetail, VisioProRetail")), warning},
		"another subscription":       {byolOffice, judgeOffice(run("O365EduCloudRetail")), warning},
		"2019":                       {byolOffice, judgeOffice(run("ProPlus2019Volume")), failed},
		"2016 by Click-to-Run":       {byolOffice, judgeOffice(run("ProPlusRetail")), failed},
		"Click-to-Run without ids":   {byolOffice, judgeOffice(without), undetermined},
		"the same with a suite":      {byolOffice, judgeOffice(broken), failed},
		"Click-to-Run with empty id": {byolOffice, judgeOffice(run(" ")), undetermined},
	})
	for text, want := range map[string]string{
		"{90160000-0011-0000-1000-0000000FF1CE}": "0011", "{90160000-008c-0000-1000-0000000ff1ce}": "008C",
		"O365ProPlusRetail - en-us": "", "{90160000-0011-0000-1000-0000000FF1CF}": "", "0FF1CE}": "",
	} {
		if got, _ := officeProduct(text); got != want {
			t.Errorf("%s: product %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"00006109110000000100000000F01FEC": "0011", "00006109C80000000100000000F01FEC": "008C",
		"00006109110000000100000000F01FED": "", "F01FEC": "",
	} {
		if got, _ := packedOfficeProduct(text); got != want {
			t.Errorf("%s: product %q, want %q", text, got, want)
		}
	}
}

func TestPrograms(t *testing.T) {
	app := func(name, key string) []Application {
		return []Application{{Key: "K", Name: name, Evidence: requirement.Evidence{Path: "SOFTWARE", Key: key}}}
	}
	const plain = `Microsoft\Windows\CurrentVersion\Uninstall\K`
	const wow = `Wow6432Node\` + plain
	service := machine.Service{Name: "S", Key: evidence}
	deleted := machine.Service{Name: "S", Key: evidence, Deleted: true}
	av := antivirus{Name: "Contoso", Evidence: []requirement.Evidence{evidence}}
	gone := av
	gone.Gone = true
	center := evidence
	center.Found = true
	clean := requirement.Pass("The default profile is not customized.", evidence)
	checkAll(t, map[string]judged{
		"no PCoIP": {byolPCoIP, judgeNoPCoIP(pcoipAgent{}), passed},
		"PCoIP": {byolPCoIP,
			judgeNoPCoIP(pcoipAgent{Service: service, Folder: there, Uninstaller: there}), warning},
		"PCoIP without uninstaller": {byolPCoIP, judgeNoPCoIP(pcoipAgent{Service: service, Uninstaller: missing}), failed},
		"PCoIP entry only":          {byolPCoIP, judgeNoPCoIP(pcoipAgent{Apps: app("PCoIP", wow)}), failed},
		"PCoIP of 64 bit":           {byolPCoIP, judgeNoPCoIP(pcoipAgent{Service: service, Folder64: there}), warning},
		"PCoIP folder of 64 bit":    {byolPCoIP, judgeNoPCoIP(pcoipAgent{Folder64: there}), warning},
		"PCoIP that is deleted":     {byolPCoIP, judgeNoPCoIP(pcoipAgent{Service: deleted}), passed},
		"no tools":                  {byolVMwareTools, judgeGuestTools(guestTools{Apps: app("7-Zip", plain)}), passed},
		"VMware Tools": {byolVMwareTools,
			judgeGuestTools(guestTools{Apps: app("vmware tools", plain)}), failed},
		"VMware Tools of 32 bit": {byolVMwareTools, judgeGuestTools(guestTools{Apps: app("VMware Tools", wow)}), warning},
		"VMware Tools Agent": {byolVMwareTools,
			judgeGuestTools(guestTools{Apps: app("VMware Tools Agent", plain)}), passed},
		"VMware Tools by service": {byolVMwareTools, judgeGuestTools(guestTools{VMware: service}), warning},
		"VMware Tools by program": {byolVMwareTools, judgeGuestTools(guestTools{Program: there}), warning},
		"VirtualBox":              {byolVMwareTools, judgeGuestTools(guestTools{Box: service}), warning},
		"VirtualBox by name": {byolVMwareTools,
			judgeGuestTools(guestTools{Apps: app("Oracle VM VirtualBox Guest Additions 7.0", plain)}), warning},
		"no antivirus": {byolAntivirus, judgeNoAntivirus(installedAntivirus{Center: center}), passed},
		"antivirus": {byolAntivirus,
			judgeNoAntivirus(installedAntivirus{Registered: []antivirus{av}, Center: center}), failed},
		"antivirus that is gone": {byolAntivirus,
			judgeNoAntivirus(installedAntivirus{Registered: []antivirus{gone}, Center: center}), warning},
		"antivirus with a service": {byolAntivirus,
			judgeNoAntivirus(installedAntivirus{Registered: []antivirus{gone}, Services: []antivirus{av}, Center: center}),
			failed},
		"a service of antivirus": {byolAntivirus,
			judgeNoAntivirus(installedAntivirus{Services: []antivirus{av}, Center: center}), warning},
		"no list of antivirus": {byolAntivirus, judgeNoAntivirus(installedAntivirus{Center: evidence}), undetermined},
		"unread antivirus": {byolAntivirus,
			judgeNoAntivirus(installedAntivirus{Center: center, Err: errTorn}), undetermined},
		"no software": {byolSoftware, judgeSoftware(nil, clean, nil), passed},
		"software":    {byolSoftware, judgeSoftware(app("7-Zip", plain), clean, nil), warning},
		"a customized profile": {byolSoftware,
			judgeSoftware(nil, requirement.Warn("It is customized.", evidence), nil), warning},
		"software, unread profile": {byolSoftware,
			judgeSoftware(app("7-Zip", plain), requirement.Unreadable(errTorn), nil), warning},
		"unread profile":             {byolSoftware, judgeSoftware(nil, requirement.Unreadable(errTorn), nil), undetermined},
		"a failure that is softened": {byolAppx, atMostWarning(requirement.Fail("A package.", evidence)), warning},
	})
}

func TestBYOLAccount(t *testing.T) {
	account := localAccount{Name: machine.Key{Key: &registry.Key{}, Evidence: evidence}, Administrator: true}
	flags := func(bits uint16) localAccount {
		a := account
		a.Flags = machine.Setting[accountFlags]{Value: accountFlags{Bits: bits, Expires: time.Unix(1, 0)}, Present: true,
			Evidence: evidence}
		return a
	}
	none := localAccount{Name: machine.Key{Evidence: evidence}}
	user, unread := account, account
	user.Administrator = false
	unread.GroupErr = errTorn
	checkAll(t, map[string]judged{
		"exists":                {byolAccountExists, judgeAccountExists(account), passed},
		"does not exist":        {byolAccountExists, judgeAccountExists(none), warning},
		"no administrator":      {byolAccountExists, judgeAccountExists(user), warning},
		"unread administrators": {byolAccountExists, judgeAccountExists(unread), undetermined},
		"enabled":               {byolAccountEnabled, judgeAccountEnabled(flags(0x210)), passed},
		"locked":                {byolAccountEnabled, judgeAccountEnabled(flags(0x610)), passed},
		"disabled":              {byolAccountEnabled, judgeAccountEnabled(flags(0x211)), warning},
		"no account":            {byolAccountEnabled, judgeAccountEnabled(none), skipped},
		"no flags":              {byolAccountEnabled, judgeAccountEnabled(account), undetermined},
	})
	data := make([]byte, 0x50)
	data[0x38] = 0x11
	if f, err := parseAccountFlags(data); err != nil || f.Bits != 0x11 || !f.Expires.IsZero() {
		t.Errorf("flags %+v, %v", f, err)
	}
	for _, n := range []int{0, 0x39, 0x3a} {
		if _, err := parseAccountFlags(data[:n]); (err == nil) != (n == 0x3a) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestMembers(t *testing.T) {
	group := make([]byte, 0x34)
	group[0x28], group[0x30] = 2, 2
	sid := []byte{1, 2, 0, 0, 0, 0, 0, 5, 0x20, 0, 0, 0, 0x20, 2, 0, 0}
	group = append(append(append(group, 'x', 'x'), sid...), sid...)
	got, err := parseMembers(group)
	if err != nil || !slices.Equal(got, []string{"S-1-5-32-544", "S-1-5-32-544"}) {
		t.Errorf("%v, %v", got, err)
	}
	for n := range group {
		if _, err := parseMembers(group[:n]); err == nil {
			t.Errorf("%d of %d bytes are a group", n, len(group))
		}
	}
	group[0x28] = 0xff
	if _, err := parseMembers(group); err == nil {
		t.Error("members behind the end")
	}
}

// The members of a real group are those that its SAM hive lists for each of them too.
func TestMembersOfCorpus(t *testing.T) {
	data := testenv.CorpusFile(t, "hives/EricZimmerman__Registry/Registry.Test/Hives/SAM")
	hive, err := registry.Open(t.Context(), bytes.NewReader(data), int64(len(data)), registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer hive.Close()
	k, err := hive.Key(`SAM\Domains\Builtin\Aliases\00000220`)
	if err != nil {
		t.Fatal(err)
	}
	v, err := k.Value("C")
	if err != nil {
		t.Fatal(err)
	}
	group, err := v.Data()
	if err != nil {
		t.Fatal(err)
	}
	members, err := parseMembers(group)
	if err != nil {
		t.Fatal(err)
	}
	for _, sid := range members {
		domain, rid := machine.SplitSID(sid)
		if rid != 500 && rid != 512 && !strings.HasPrefix(domain, "S-1-5-21-") {
			t.Errorf("member %s", sid)
		}
	}
	if len(members) == 0 || !strings.HasSuffix(members[0], "-500") {
		t.Errorf("members %v: the built-in administrator is not the first", members)
	}
}

func TestJoins(t *testing.T) {
	join := entraJoin{Tenant: words("tenant"), User: words("jdoe@example.com"), Key: evidence}
	partial := entraJoin{Tenant: absent[string](), Key: evidence}
	list := func(j ...entraJoin) []entraJoin { return j }
	checkAll(t, map[string]judged{
		"workgroup": {byolJoinDomain, judgeJoinDomain(domainJoin{Policy: evidence}), passed},
		"workgroup with suffix": {byolJoinDomain,
			judgeJoinDomain(domainJoin{Suffixes: []machine.Setting[string]{words("a.b")}}), passed},
		"domain": {byolJoinDomain,
			judgeJoinDomain(domainJoin{SID: "S-1-5-21-1-2-3", Policy: evidence}), failed},
		"not joined":             {byolJoinEntra, judgeJoinEntra(entraJoins{}), passed},
		"joined":                 {byolJoinEntra, judgeJoinEntra(entraJoins{Machine: list(partial, join)}), failed},
		"joined without tenant":  {byolJoinEntra, judgeJoinEntra(entraJoins{Machine: list(partial)}), warning},
		"registered":             {byolJoinEntra, judgeJoinEntra(entraJoins{Registered: list(join)}), warning},
		"unread users":           {byolJoinEntra, judgeJoinEntra(entraJoins{Err: errTorn}), undetermined},
		"joined, unread users":   {byolJoinEntra, judgeJoinEntra(entraJoins{Machine: list(join), Err: errTorn}), failed},
		"registered, one unread": {byolJoinEntra, judgeJoinEntra(entraJoins{Registered: list(join), Err: errTorn}), warning},
	})
}

// root is a partition with Windows.
func root(device string) DiskPart {
	return DiskPart{Name: "C", Device: device, Kind: PartData, Root: true, Filesystem: "NTFS", Evidence: evidence}
}

func TestDisk(t *testing.T) {
	size := func(bytes int64) *Disk { return &Disk{Table: "gpt", Size: bytes, Parts: []DiskPart{root("gpt 1")}} }
	short := size(60 * gibibyte)
	short.Short = true
	bare := &Disk{Table: "none", Size: 60 * gibibyte, Parts: []DiskPart{root("")}}
	table := func(kind string) *Disk { return &Disk{Table: kind, Parts: []DiskPart{root("x")}} }
	dynamic, hybrid, damaged := table("mbr"), table("gpt"), table("gpt")
	dynamic.Dynamic, dynamic.Incomplete = true, errTorn
	hybrid.Hybrid = true
	damaged.Incomplete = errTorn
	refs := table("gpt")
	refs.Parts[0].Filesystem = "ReFS"
	format := func(format, detail string) *Disk {
		return &Disk{Format: format, Detail: detail, Parts: []DiskPart{root("x")}}
	}
	archived := format("vmdk", "monolithic sparse")
	archived.Member = true
	ten := windows10
	checkAll(t, map[string]judged{
		"20 GiB and a byte free": {byolFree, judgeBYOLFree(20*gibibyte+1, evidence), passed},
		"20 GiB free":            {byolFree, judgeBYOLFree(20*gibibyte, evidence), warning},
		"10 GiB free":            {byolFree, judgeBYOLFree(10*gibibyte, evidence), warning},
		"a byte less":            {byolFree, judgeBYOLFree(10*gibibyte-1, evidence), failed},

		"70 GiB":            {byolDiskSize, judgeDiskSize(size(70 * gibibyte)), passed},
		"70 GiB and a byte": {byolDiskSize, judgeDiskSize(size(70*gibibyte + 1)), warning},
		"80 GiB":            {byolDiskSize, judgeDiskSize(size(80 * gibibyte)), warning},
		"80 GiB and a byte": {byolDiskSize, judgeDiskSize(size(80*gibibyte + 1)), failed},
		"a truncated image": {byolDiskSize, judgeDiskSize(short), undetermined},
		"a partition":       {byolDiskSize, judgeDiskSize(bare), undetermined},
		"no disk":           {byolDiskSize, judgeDiskSize(nil), undetermined},

		"10, MBR":             {byolPartitioning, judgePartitioning(ten, table("mbr"), nil, nil), passed},
		"10, GPT":             {byolPartitioning, judgePartitioning(ten, table("gpt"), nil, nil), failed},
		"10, MBR with UEFI":   {byolPartitioning, judgePartitioning(ten, table("mbr"), []string{"1"}, nil), warning},
		"10, MBR, unread":     {byolPartitioning, judgePartitioning(ten, table("mbr"), nil, errTorn), undetermined},
		"11, GPT":             {byolPartitioning, judgePartitioning(windows24H2, table("gpt"), nil, nil), passed},
		"11, GPT, unread ESP": {byolPartitioning, judgePartitioning(windows24H2, table("gpt"), nil, errTorn), passed},
		"11, MBR":             {byolPartitioning, judgePartitioning(windows24H2, table("mbr"), nil, nil), failed},
		"hybrid":              {byolPartitioning, judgePartitioning(windows24H2, hybrid, nil, nil), warning},
		"dynamic":             {byolPartitioning, judgePartitioning(ten, dynamic, nil, nil), failed},
		"damaged table":       {byolPartitioning, judgePartitioning(windows24H2, damaged, nil, nil), undetermined},
		"damaged, other kind": {byolPartitioning, judgePartitioning(ten, damaged, nil, nil), undetermined},
		"partition only":      {byolPartitioning, judgePartitioning(ten, bare, nil, nil), undetermined},

		"NTFS":    {byolFilesystem, judgeFilesystem(table("gpt")), passed},
		"ReFS":    {byolFilesystem, judgeFilesystem(refs), failed},
		"nothing": {byolFilesystem, judgeFilesystem(nil), undetermined},

		"raw":                   {byolImageFormat, judgeImageFormat(format("raw", "")), passed},
		"VHDX":                  {byolImageFormat, judgeImageFormat(format("vhdx", "dynamic")), passed},
		"stream-optimized VMDK": {byolImageFormat, judgeImageFormat(format("vmdk", "stream-optimized")), passed},
		"other VMDK":            {byolImageFormat, judgeImageFormat(format("vmdk", "monolithic sparse")), warning},
		"VMDK in an OVA":        {byolImageFormat, judgeImageFormat(archived), passed},
		"QCOW2":                 {byolImageFormat, judgeImageFormat(format("qcow2", "version 3")), warning},
		"no image":              {byolImageFormat, judgeImageFormat(nil), undetermined},
	})
}

func TestEncryption(t *testing.T) {
	disk := func(parts ...DiskPart) []Disk { return []Disk{{Table: "gpt", Parts: parts}} }
	locked := DiskPart{Name: "D", Kind: PartData, Encryption: "BitLocker", Evidence: evidence}
	torn := DiskPart{Name: "E", Kind: PartData, Err: errTorn, Evidence: evidence}
	incomplete := disk(root("x"))
	incomplete[0].Incomplete = errTorn
	checkAll(t, map[string]judged{
		"none":                 {byolEncryption, judgeEncryption(disk(root("x")), number(0), nil), passed},
		"a volume":             {byolEncryption, judgeEncryption(disk(root("x"), locked), number(0), nil), failed},
		"a volume, one unread": {byolEncryption, judgeEncryption(disk(torn, locked), number(0), errTorn), failed},
		"an unread volume":     {byolEncryption, judgeEncryption(disk(root("x"), torn), number(0), nil), undetermined},
		"an unread table":      {byolEncryption, judgeEncryption(incomplete, number(0), nil), undetermined},
		"an unread status":     {byolEncryption, judgeEncryption(disk(root("x")), number(0), errTorn), undetermined},
		"on at the last start": {byolEncryption, judgeEncryption(disk(root("x")), number(1), nil), warning},
		"no status":            {byolEncryption, judgeEncryption(disk(root("x")), absent[uint32](), nil), passed},
		"no disk":              {byolEncryption, judgeEncryption(nil, number(0), nil), undetermined},
	})
}

func TestFirmware(t *testing.T) {
	boot := func(uefi, bios bool) firmware {
		return firmware{Boots: []bootFiles{{Part: DiskPart{Name: "1", Evidence: evidence}, UEFI: uefi, BIOS: bios}}}
	}
	unread, none := boot(true, false), firmware{}
	unread.Err = errTorn
	none.Err = errTorn
	installed := func(kind int, typ machine.Setting[uint32]) firmware {
		return firmware{Log: firmwareLine{Type: kind, File: there}, Type: typ}
	}
	tornLog := firmware{Log: firmwareLine{Unread: errTorn}}
	apart := firmware{Boots: []bootFiles{{Part: DiskPart{Evidence: evidence}, BIOS: true},
		{Part: DiskPart{Evidence: evidence}, UEFI: true}}}
	partition := installed(firmwareBIOS, absent[uint32]())
	partition.Err = errNotDisk
	checkAll(t, map[string]judged{
		"10, BIOS":             {byolFirmware, judgeFirmware(windows10, boot(false, true)), passed},
		"10, UEFI":             {byolFirmware, judgeFirmware(windows10, boot(true, false)), failed},
		"11, UEFI":             {byolFirmware, judgeFirmware(windows24H2, boot(true, false)), passed},
		"11, BIOS":             {byolFirmware, judgeFirmware(windows24H2, boot(false, true)), failed},
		"both":                 {byolFirmware, judgeFirmware(windows24H2, boot(true, true)), warning},
		"both, on partitions":  {byolFirmware, judgeFirmware(windows10, apart), warning},
		"11, UEFI, one unread": {byolFirmware, judgeFirmware(windows24H2, unread), undetermined},
		"10, UEFI, one unread": {byolFirmware, judgeFirmware(windows10, unread), failed},
		"unread":               {byolFirmware, judgeFirmware(windows24H2, none), undetermined},
		"nothing":              {byolFirmware, judgeFirmware(windows24H2, firmware{}), undetermined},
		"11 installed by UEFI": {byolFirmware,
			judgeFirmware(windows24H2, installed(firmwareUEFI, absent[uint32]())), inferred},
		"11 installed by BIOS":  {byolFirmware, judgeFirmware(windows24H2, installed(firmwareBIOS, number(1))), undetermined},
		"11, now UEFI":          {byolFirmware, judgeFirmware(windows24H2, installed(firmwareBIOS, number(2))), undetermined},
		"10, now UEFI":          {byolFirmware, judgeFirmware(windows10, installed(firmwareBIOS, number(2))), undetermined},
		"10 on a partition":     {byolFirmware, judgeFirmware(windows10, partition), inferred},
		"a log that is damaged": {byolFirmware, judgeFirmware(windows24H2, tornLog), undetermined},
	})
	for text, want := range map[string]int{
		"2026-01-14 08:51:02, Info IBS    Callback_BootEnvironmentDetect: FirmwareType 1.": firmwareBIOS,
		"2026-01-14 08:51:02, Info IBS    Callback_BootEnvironmentDetect:FirmwareType 2":   firmwareUEFI,
		"Callback_BootEnvironmentDetect: Detected boot environment: BIOS":                  firmwareBIOS,
		"Callback_BootEnvironmentDetect: Detected boot environment: UEFI":                  firmwareUEFI,
		"Callback_BootEnvironmentDetect: FirmwareType 3.":                                  0,
		"FirmwareType 2.": 0,
		"":                0,
	} {
		kind, line, err := parseFirmwareLine(strings.NewReader("first\r\n" + text + "\r\n"))
		if err != nil || kind != want || want != 0 && line.Number != 2 {
			t.Errorf("%q: %d, line %d, %v, want %d", text, kind, line.Number, err, want)
		}
	}
	two := "Callback_BootEnvironmentDetect: FirmwareType 1.\nCallback_BootEnvironmentDetect: FirmwareType 2.\n"
	if kind, _, _ := parseFirmwareLine(strings.NewReader(two)); kind != firmwareUEFI {
		t.Errorf("%d: the last line does not count", kind)
	}
}

func TestBootSingle(t *testing.T) {
	efi := DiskPart{Name: "1", Kind: PartEFI, Evidence: evidence}
	active := DiskPart{Name: "2", Kind: PartData, Active: true, Evidence: evidence}
	disk := func(table string, parts ...DiskPart) *Disk { return &Disk{Table: table, Parts: parts} }
	damaged := disk("gpt", efi)
	damaged.Incomplete = errTorn
	loader := bootLoader{ID: "{1}", Path: `\Windows\system32\winload.efi`, Name: "Windows 11"}
	menu := func(n int) []bootFiles { return []bootFiles{{Loaders: slices.Repeat([]bootLoader{loader}, n)}} }
	checkAll(t, map[string]judged{
		"one":             {byolBootSingle, judgeBootSingle(disk("gpt", efi), menu(1), nil), passed},
		"two on a GPT":    {byolBootSingle, judgeBootSingle(disk("gpt", efi, efi), nil, nil), failed},
		"active on a GPT": {byolBootSingle, judgeBootSingle(disk("gpt", efi, active), nil, nil), passed},
		"two active":      {byolBootSingle, judgeBootSingle(disk("mbr", active, active), nil, errTorn), failed},
		"two in the menu": {byolBootSingle, judgeBootSingle(disk("mbr", active), menu(2), nil), warning},
		"a damaged table": {byolBootSingle, judgeBootSingle(damaged, menu(1), nil), undetermined},
		"an unread menu": {byolBootSingle,
			judgeBootSingle(disk("gpt", efi), []bootFiles{{Err: errTorn}}, nil), undetermined},
		"nothing to start":    {byolBootSingle, judgeBootSingle(disk("mbr"), nil, nil), undetermined},
		"one, without a menu": {byolBootSingle, judgeBootSingle(disk("mbr", active), nil, nil), passed},
	})
}

// The boot menu of a real installation medium has one entry.
func TestLoadersOfCorpus(t *testing.T) {
	data := testenv.CorpusFile(t, "hives/EricZimmerman__Registry/Registry.Test/Hives/BCD")
	hive, err := registry.Open(t.Context(), bytes.NewReader(data), int64(len(data)), registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer hive.Close()
	loaders, err := loadersOf(hive)
	if err != nil || len(loaders) != 1 || !strings.HasSuffix(loaders[0].Path, "winload.efi") || loaders[0].Name == "" {
		t.Errorf("%+v, %v", loaders, err)
	}
}

func TestLetters(t *testing.T) {
	data := DiskPart{Name: "p2", Device: "mbr 2", Kind: PartData, Filesystem: "NTFS", Evidence: evidence}
	hidden, active, raw := data, data, data
	hidden.Hidden, active.Active, raw.Filesystem = true, true, ""
	with := func(parts ...DiskPart) letters {
		return letters{Disks: []Disk{{Table: "mbr", Parts: append([]DiskPart{root("mbr 1")}, parts...)}},
			Mounts: []Mount{{Letter: "C", Disk: true, Device: "mbr 1", Evidence: evidence}}}
	}
	mounted := func(l letters, mounts ...Mount) letters {
		l.Mounts = append(l.Mounts, mounts...)
		return l
	}
	mount := func(letter, device string, disk bool, presence devicePresence) Mount {
		return Mount{Letter: letter, Device: device, Disk: disk, Presence: presence, Evidence: evidence}
	}
	const cd, usb = `\??\SCSI#CdRom&Ven_X#1&2#{53f56308-b6bf-11d0-94f2-00a0c91efb8b}`,
		`_??_USBSTOR#Disk&Ven_X#1#{53f56307-b6bf-11d0-94f2-00a0c91efb8b}`
	known, network, aliased, torn, bare := with(data), with(), with(), with(), with()
	known.Known = map[string]bool{"mbr 2": true}
	drive := machine.Setting[string]{Value: `\\fs\share`, Present: true, Evidence: requirement.Evidence{Path: "NTUSER.DAT",
		Key: `Network\d`}}
	network.Network = []machine.Setting[string]{drive}
	aliased.Aliases = []machine.Setting[string]{{Value: `\??\C:\data`, Present: true,
		Evidence: requirement.Evidence{Path: "SYSTEM", Value: "D:"}}}
	torn.Err = errTorn
	bare.Disks[0].Table = "none"
	second := with()
	second.Disks = append(second.Disks, Disk{Table: "none", Parts: []DiskPart{data}})
	single := func(l letters) requirement.Outcome { return judgeDrivesSingle(l) }
	checkAll(t, map[string]judged{
		"only C":               {byolDrivesSingle, single(with()), passed},
		"only C, of a part":    {byolDrivesSingle, single(bare), inferred},
		"a new volume":         {byolDrivesSingle, single(with(data)), failed},
		"another image":        {byolDrivesSingle, single(second), failed},
		"a known volume":       {byolDrivesSingle, single(known), passed},
		"a hidden volume":      {byolDrivesSingle, single(with(hidden)), passed},
		"System Reserved":      {byolDrivesSingle, single(with(active)), passed},
		"no filesystem":        {byolDrivesSingle, single(with(raw)), passed},
		"a volume with letter": {byolDrivesSingle, single(mounted(known, mount("E", "mbr 2", true, 0))), failed},
		"a disk elsewhere":     {byolDrivesSingle, single(mounted(with(), mount("E", "mbr 9", true, 0))), undetermined},
		"a CD drive":           {byolDrivesSingle, single(mounted(with(), mount("E", cd, false, deviceHere))), warning},
		"a CD drive that went": {byolDrivesSingle, single(mounted(with(), mount("E", cd, false, deviceGone))), passed},
		"a USB disk":           {byolDrivesSingle, single(mounted(with(), mount("E", usb, false, 0))), warning},
		"a floppy drive":       {byolDrivesSingle, single(mounted(with(), mount("A", "floppy", false, 0))), passed},
		"a network drive":      {byolDrivesSingle, single(network), warning},
		"an alias":             {byolDrivesSingle, single(aliased), failed},
		"unread":               {byolDrivesSingle, single(torn), undetermined},
		"unread, a new volume": {byolDrivesSingle,
			single(func() letters { l := with(data); l.Err = errTorn; return l }()), failed},

		"D is free":             {byolDriveLetterD, judgeLetterD(with()), passed},
		"D is a partition":      {byolDriveLetterD, judgeLetterD(mounted(known, mount("D", "mbr 2", true, 0))), failed},
		"D is a disk elsewhere": {byolDriveLetterD, judgeLetterD(mounted(known, mount("D", "mbr 9", true, 0))), undetermined},
		"D is a CD drive":       {byolDriveLetterD, judgeLetterD(mounted(with(), mount("D", cd, false, 0))), warning},
		"D was a CD drive":      {byolDriveLetterD, judgeLetterD(mounted(with(), mount("D", cd, false, deviceGone))), passed},
		"D is a USB disk":       {byolDriveLetterD, judgeLetterD(mounted(with(), mount("D", usb, false, 0))), warning},
		"E is a partition":      {byolDriveLetterD, judgeLetterD(mounted(known, mount("E", "mbr 2", true, 0))), passed},
		"D is a network drive":  {byolDriveLetterD, judgeLetterD(network), failed},
		"D is an alias":         {byolDriveLetterD, judgeLetterD(aliased), failed},
		"D is unread":           {byolDriveLetterD, judgeLetterD(torn), undetermined},

		"one adapter": {byolNetSingle, judgeNetSingle([]Adapter{{GUID: "{1}"}, {GUID: "{2}", Removed: true}}), passed},
		"two adapters": {byolNetSingle,
			judgeNetSingle([]Adapter{{GUID: "{1}", DHCP: number(1)}, {GUID: "{2}"}}), warning},
		"a software device": {byolNetSingle, judgeNetSingle([]Adapter{{GUID: "{1}"}, {GUID: "{2}", Software: true}}), passed},
		"no adapter":        {byolNetSingle, judgeNetSingle(nil), passed},
	})
}

func TestBYOLSettings(t *testing.T) {
	service := func(start uint32) machine.Service {
		return machine.Service{Name: "S", Start: number(start), Key: evidence}
	}
	none, noStart := machine.Service{Key: evidence}, machine.Service{Name: "S", Start: absent[uint32](), Key: evidence}
	manual, disabled, automatic := service(3), service(4), service(2)
	texts := func(s string) machine.Setting[string] { return words(s) }
	odd := machine.Setting[string]{OtherType: true, Evidence: evidence}
	firewall := func(set string, current, first, policy machine.Setting[uint32]) requirement.Outcome {
		return judgePublicFirewall(publicFirewall{Set: set, Current: current, First: first, Policy: policy})
	}
	no := absent[uint32]()
	const one = "ControlSet001"
	complete := sysprepTraces{State: texts("IMAGE_STATE_COMPLETE"), Generalization: number(7)}
	resealed, interrupted, tagged, older := complete, complete, complete, complete
	resealed.State = texts("IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE")
	interrupted.Generalization = number(3)
	tagged.Tag, tagged.Installed = there, time.Unix(1000, 0)
	tagged.Tag.Modified = time.Unix(1001, 0)
	older.Tag, older.Installed = there, time.Unix(1000, 0)
	older.Tag.Modified = time.Unix(1000, 0)
	checkAll(t, map[string]judged{
		"updates off":          {byolUpdates, judgeUpdatesDisabled(disabled, manual, []machine.Service{automatic}), passed},
		"updates manual":       {byolUpdates, judgeUpdatesDisabled(manual, manual, nil), warning},
		"installer automatic":  {byolUpdates, judgeUpdatesDisabled(disabled, automatic, nil), warning},
		"installer disabled":   {byolUpdates, judgeUpdatesDisabled(disabled, disabled, nil), warning},
		"no update service":    {byolUpdates, judgeUpdatesDisabled(none, manual, nil), undetermined},
		"no start type":        {byolUpdates, judgeUpdatesDisabled(disabled, noStart, nil), undetermined},
		"mounted":              {byolAutomount, judgeAutomount(true, no), passed},
		"mounted by value":     {byolAutomount, judgeAutomount(true, number(0)), passed},
		"not mounted":          {byolAutomount, judgeAutomount(true, number(1)), warning},
		"no mount manager":     {byolAutomount, judgeAutomount(false, no), undetermined},
		"firewall off":         {byolFirewall, firewall(one, number(0), number(0), no), passed},
		"firewall on":          {byolFirewall, firewall(one, number(1), number(1), no), warning},
		"firewall default":     {byolFirewall, firewall(one, no, no, no), inferred},
		"firewall by policy":   {byolFirewall, firewall(one, number(0), number(0), number(1)), warning},
		"firewall off, policy": {byolFirewall, firewall(one, number(1), number(1), number(0)), warning},
		"firewall off twice":   {byolFirewall, firewall(one, number(0), number(0), number(0)), passed},
		"firewall, other set":  {byolFirewall, firewall("ControlSet002", number(0), number(1), no), passed},
		"no logon":             {byolAutologon, judgeAutologon(autologon{On: absent[string]()}), passed},
		"logon 0": {byolAutologon,
			judgeAutologon(autologon{On: texts("0"), Secret: true, Password: evidence}), passed},
		"logon 1":          {byolAutologon, judgeAutologon(autologon{On: texts("1"), User: texts("jdoe")}), warning},
		"logon 01":         {byolAutologon, judgeAutologon(autologon{On: texts(" 01")}), warning},
		"logon of a type":  {byolAutologon, judgeAutologon(autologon{On: odd}), undetermined},
		"UTC":              {byolUniversalTime, judgeUniversalTime(texts("1")), passed},
		"UTC, eight bytes": {byolUniversalTime, judgeUniversalTime(texts("18446744073709551615")), passed},
		"local time":       {byolUniversalTime, judgeUniversalTime(texts("0")), warning},
		"no UTC":           {byolUniversalTime, judgeUniversalTime(absent[string]()), warning},
		"UTC as a word":    {byolUniversalTime, judgeUniversalTime(texts("yes")), undetermined},
		"no reserves":      {byolReservedStorage, judgeReserves(no, no), passed},
		"reserves off":     {byolReservedStorage, judgeReserves(number(0), number(0)), passed},
		"reserves on":      {byolReservedStorage, judgeReserves(number(1), number(0)), warning},
		"reserves in use":  {byolReservedStorage, judgeReserves(number(1), number(8)), failed},

		"integrity off":       {byolMemoryIntegrity, judgeGuards(guards{}), passed},
		"integrity on":        {byolMemoryIntegrity, judgeGuards(guards{Integrity: number(1)}), warning},
		"integrity by policy": {byolMemoryIntegrity, judgeGuards(guards{IntegrityPolicy: number(2)}), warning},
		"integrity locked":    {byolMemoryIntegrity, judgeGuards(guards{IntegrityPolicy: number(1)}), failed},
		"integrity, guard locked": {byolMemoryIntegrity,
			judgeGuards(guards{Integrity: number(1), Credential: number(1)}), failed},
		"integrity, locked": {byolMemoryIntegrity,
			judgeGuards(guards{Integrity: number(1), Locked: number(1)}), failed},
		"integrity, guard without": {byolMemoryIntegrity,
			judgeGuards(guards{Integrity: number(1), Credential: number(2)}), warning},
		"guard locked":         {byolMemoryIntegrity, judgeGuards(guards{CredentialPolicy: number(1)}), warning},
		"guard without a lock": {byolMemoryIntegrity, judgeGuards(guards{Credential: number(2)}), passed},

		"not generalized": {byolSysprepNotRun, judgeSysprepNotRun(complete), passed},
		"generalized":     {byolSysprepNotRun, judgeSysprepNotRun(resealed), warning},
		"interrupted":     {byolSysprepNotRun, judgeSysprepNotRun(interrupted), warning},
		"a tag":           {byolSysprepNotRun, judgeSysprepNotRun(tagged), warning},
		"an older tag":    {byolSysprepNotRun, judgeSysprepNotRun(older), passed},
		"no state":        {byolSysprepNotRun, judgeSysprepNotRun(sysprepTraces{State: absent[string]()}), undetermined},
		"DCV on 11":       {byolProtocol, judgeProtocol(windows24H2, "BYOL_REGULAR_WSP", evidence), stated},
		"own on 11":       {byolProtocol, judgeProtocol(windows24H2, "BYOL_REGULAR_BYOP", evidence), stated},
		"PCoIP on 10":     {byolProtocol, judgeProtocol(windows10, "BYOL_REGULAR", evidence), stated},
		"PCoIP on 11": {byolProtocol,
			judgeProtocol(windows24H2, "BYOL_REGULAR", evidence), verdict{requirement.Failed, requirement.Stated}},
		"unknown protocol": {byolProtocol, judgeProtocol(windows24H2, "", evidence), undetermined},

		"stopped": {byolShutdown, judgeShutdown(lastShutdown{State: volume.StateClean, Volume: evidence}), passed},
		"in use":  {byolShutdown, judgeShutdown(lastShutdown{State: volume.StateInUse, Volume: evidence}), warning},
		"dirty":   {byolShutdown, judgeShutdown(lastShutdown{State: volume.StateDirty, Volume: evidence}), warning},
		"hibernated": {byolShutdown,
			judgeShutdown(lastShutdown{State: volume.StateClean, Hibernated: true, Volume: evidence}), warning},
		"dirty hives": {byolShutdown,
			judgeShutdown(lastShutdown{State: volume.StateClean, Recovered: []string{"SYSTEM"}, Volume: evidence}), warning},
		"unknown": {byolShutdown,
			judgeShutdown(lastShutdown{State: volume.StateUnknown, Volume: evidence}), undetermined},
	})
}

func TestImportPrepare(t *testing.T) {
	good := importPreparation{Deny: number(0), Framework: number(dotNet45),
		DHCP: machine.Service{Name: "Dhcp", Start: number(2), Key: evidence}, Free: importFree,
		Evidence:  []requirement.Evidence{evidence},
		PageFiles: machine.Setting[[]string]{Value: []string{`C:\pagefile.sys 4096 4096`}, Present: true, Evidence: evidence},
		Once:      machine.Key{Evidence: evidence}}
	changed := func(change func(*importPreparation)) requirement.Outcome {
		p := good
		change(&p)
		return judgeImportPrepare(p)
	}
	list := map[string]judged{"all": {byolImportPrepare, judgeImportPrepare(good), passed}}
	for name, change := range map[string]func(*importPreparation){
		"no remote desktop":  func(p *importPreparation) { p.Deny = number(1) },
		"no setting":         func(p *importPreparation) { p.Deny = absent[uint32]() },
		"an old framework":   func(p *importPreparation) { p.Framework = number(dotNet45 - 1) },
		"no DHCP client":     func(p *importPreparation) { p.DHCP.Start = number(4) },
		"a managed file":     func(p *importPreparation) { p.PageFiles.Value = []string{`?:\pagefile.sys`} },
		"sizes of 0":         func(p *importPreparation) { p.PageFiles.Value = []string{`C:\pagefile.sys 0 0`} },
		"a file that grows":  func(p *importPreparation) { p.PageFiles.Value = []string{`C:\pagefile.sys 4096 8192`} },
		"a program":          func(p *importPreparation) { p.Programs = 1 },
		"an open account":    func(p *importPreparation) { p.Accounts = []string{"kiosk"} },
		"a byte below 6 GiB": func(p *importPreparation) { p.Free = importFree - 1 },
	} {
		list[name] = judged{byolImportPrepare, changed(change), warning}
	}
	list["no page file"] = judged{byolImportPrepare,
		changed(func(p *importPreparation) { p.PageFiles.Value = nil }), passed}
	checkAll(t, list)
}

func TestRootDisk(t *testing.T) {
	in := Input{Disks: []Disk{{Name: "a"}, {Name: "b", Parts: []DiskPart{root("x")}}}}
	if d := in.rootDisk(); d == nil || d.Name != "b" {
		t.Errorf("root disk %+v", d)
	}
	if _, err := (&Machine{Machine: &machine.Machine{}, facts: &facts{}}).readBoots(); !errors.Is(err, errNotDisk) {
		t.Errorf("without a disk: %v", err)
	}
}
