package statement

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/unicode"
)

const describeWorkspaces = `{
    "Workspaces": [
        {
            "WorkspaceId": "ws-0123abcde",
            "DirectoryId": "d-0123456789",
            "UserName": "mona",
            "IpAddress": "192.0.2.10",
            "State": "AVAILABLE",
            "BundleId": "wsb-0123abcde",
            "SubnetId": "subnet-01234567",
            "ComputerName": "EC2AMAZ-1A2B3C",
            "VolumeEncryptionKey": "alias/aws/workspaces",
            "UserVolumeEncryptionEnabled": true,
            "RootVolumeEncryptionEnabled": false,
            "WorkspaceProperties": {
                "RunningMode": "AUTO_STOP",
                "RunningModeAutoStopTimeoutInMinutes": 60,
                "RootVolumeSizeGib": 80,
                "UserVolumeSizeGib": 10,
                "ComputeTypeName": "STANDARD",
                "Protocols": ["PCOIP"],
                "OperatingSystemName": "WINDOWS_SERVER_2019"
            },
            "ModificationStates": [
                {"Resource": "ROOT_VOLUME", "State": "UPDATE_IN_PROGRESS"}
            ],
            "RelatedWorkspaces": [],
            "Unknown": {"deep": [1, 2.5e3, null, true, {"x": "y"}]}
        },
        {"WorkspaceId": "ws-9876fedcb", "State": "PENDING", "ComputerName": null}
    ]
}
`

const describeImages = `{
    "Images": [
        {
            "ImageId": "wsi-0123abcde",
            "Name": "golden",
            "Description": "The golden image",
            "OperatingSystem": {"Type": "WINDOWS"},
            "State": "ERROR",
            "RequiredTenancy": "DEFAULT",
            "Created": "2020-01-02T03:04:05.678000+00:00",
            "OwnerAccountId": "012345678901",
            "ErrorCode": "ERR",
            "ErrorMessage": "It failed.",
            "ErrorDetails": [
                {"ErrorCode": "PendingReboot", "ErrorMessage": "Reboot."},
                {"ErrorCode": "DHCPDisabled"}
            ],
            "Updates": {"UpdateAvailable": true, "Description": "x"}
        },
        {"ImageId": "wsi-9876fedcb", "Created": 1577934245.678}
    ]
}
`

const describeSnapshots = `{
    "Snapshots": [
        {
            "StorageTier": "standard",
            "TransferType": "standard",
            "CompletionTime": "2026-03-01T06:12:00.000000+00:00",
            "FullSnapshotSizeInBytes": 42949672960,
            "SnapshotId": "snap-0123456789abcdef0",
            "VolumeId": "vol-0123456789abcdef0",
            "State": "completed",
            "StartTime": "2026-03-01T06:00:00.000000+00:00",
            "Progress": "100%",
            "OwnerId": "012345678901",
            "Description": "root",
            "VolumeSize": 80,
            "Encrypted": true,
            "KmsKeyId": "arn:aws:kms:eu-west-1:012345678901:key/1",
            "Tags": [{"Key": "Name", "Value": "root"}]
        },
        {"SnapshotId": "snap-1", "Encrypted": false, "StartTime": 1577934245.678}
    ]
}
`

func TestDescribeSnapshots(t *testing.T) {
	yes, no, size := true, false, int64(80)
	want := &Document{
		Name: "snapshots.json", Kind: Snapshots,
		Snapshots: []Snapshot{
			{
				SnapshotID: "snap-0123456789abcdef0", VolumeID: "vol-0123456789abcdef0", VolumeSizeGiB: &size,
				State: "completed", StartTime: "2026-03-01T06:00:00.000000+00:00",
				CompletionTime: "2026-03-01T06:12:00.000000+00:00", Encrypted: &yes,
				KMSKeyID: "arn:aws:kms:eu-west-1:012345678901:key/1", OwnerID: "012345678901",
			},
			{SnapshotID: "snap-1", Encrypted: &no, StartTime: "1577934245.678"},
		},
	}
	d, err := Parse("snapshots.json", []byte(describeSnapshots))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Error(diff)
	}
}

func TestImport(t *testing.T) {
	const input = `{"Ec2ImageId": "ami-1", "IngestionProcess": "BYOL_REGULAR_WSP", "Applications": ["x"]}`
	d, err := Parse("import.json", []byte(input))
	want := &Document{Name: "import.json", Kind: Import, Import: &ImportRequest{IngestionProcess: "BYOL_REGULAR_WSP"}}
	if diff := cmp.Diff(want, d); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	for input, want := range map[string]error{
		`{"Ec2ImageId": "ami-1"}`: ErrUnknownKind, `{"IngestionProcess": ""}`: ErrUnknownKind,
		`{"IngestionProcess": 1}`: ErrInvalid, `{"IngestionProcess": "A", "Images": []}`: ErrInvalid,
	} {
		if _, err := Parse("import.json", []byte(input)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", input, err, want)
		}
	}
}

func TestDescribeWorkspaces(t *testing.T) {
	yes, no, root, user := true, false, int64(80), int64(10)
	want := &Document{
		Name: "ws.json", Kind: WorkSpaces,
		WorkSpaces: []WorkSpace{
			{
				WorkspaceID: "ws-0123abcde", State: "AVAILABLE", UserName: "mona", ComputerName: "EC2AMAZ-1A2B3C",
				BundleID: "wsb-0123abcde", SubnetID: "subnet-01234567", DirectoryID: "d-0123456789",
				ModificationStates:          []ModificationState{{"ROOT_VOLUME", "UPDATE_IN_PROGRESS"}},
				RootVolumeEncryptionEnabled: &no, UserVolumeEncryptionEnabled: &yes, VolumeEncryptionKey: "alias/aws/workspaces",
				Properties: WorkSpaceProperties{&root, &user, "STANDARD", []string{"PCOIP"}, "WINDOWS_SERVER_2019"},
			},
			{WorkspaceID: "ws-9876fedcb", State: "PENDING"},
		},
	}
	inUTF16, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(describeWorkspaces)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{describeWorkspaces, "\xef\xbb\xbf" + describeWorkspaces, "\r\n " + describeWorkspaces,
		inUTF16} {
		d, err := Parse("ws.json", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, d); diff != "" {
			t.Error(diff)
		}
	}
}

func TestDescribeImages(t *testing.T) {
	yes := true
	want := &Document{
		Name: "images.json", Kind: Images,
		Images: []Image{
			{
				ImageID: "wsi-0123abcde", Name: "golden", Description: "The golden image", State: "ERROR",
				OperatingSystem: "WINDOWS",
				RequiredTenancy: "DEFAULT", Created: "2020-01-02T03:04:05.678000+00:00", OwnerAccountID: "012345678901",
				ErrorCode: "ERR", ErrorMessage: "It failed.",
				ErrorDetails:    []ErrorDetail{{"PendingReboot", "Reboot."}, {"DHCPDisabled", ""}},
				UpdateAvailable: &yes,
			},
			{ImageID: "wsi-9876fedcb", Created: "1577934245.678"},
		},
	}
	d, err := Parse("images.json", []byte(describeImages))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Error(diff)
	}
}

func TestEmptyAndTruncatedLists(t *testing.T) {
	for _, tt := range []struct {
		text      string
		kind      Kind
		truncated bool
	}{
		{`{"Workspaces": []}`, WorkSpaces, false},
		{`{"Images": []}`, Images, false},
		{`{"Images": null}`, Images, false},
		{`{"Snapshots": []}`, Snapshots, false},
		{`{"Snapshots": [], "NextToken": "abc"}`, Snapshots, true},
		{`{"Images": [], "NextToken": null}`, Images, false},
		{`{"Images": [], "NextToken": ""}`, Images, false},
		{`{"NextToken": "abc", "Images": []}`, Images, true},
		{`{"Workspaces": [], "NextToken": "abc"}`, WorkSpaces, true},
	} {
		d, err := Parse("", []byte(tt.text))
		if err != nil || d.Kind != tt.kind || d.Truncated != tt.truncated {
			t.Errorf("%s: %+v, %v", tt.text, d, err)
		}
	}
}

func TestJSONRefuses(t *testing.T) {
	workspace := func(fields string) string { return `{"Workspaces": [{"WorkspaceId": "ws-1", ` + fields + `}]}` }
	deep := strings.Repeat("[", maxDepth+2) + strings.Repeat("]", maxDepth+2)
	for _, tt := range []struct {
		text string
		kind error
		want string
	}{
		{`{}`, ErrUnknownKind, ""},
		{`{"Reservations": []}`, ErrUnknownKind, ""},
		{`{"WorkspacesConnectionStatus": []}`, ErrUnknownKind, ""},
		{`[]`, ErrUnknownKind, ""},
		{`"Workspaces"`, ErrUnknownKind, ""},
		{`{"Images": [{"ImageId": "ami-0123456789abcdef0"}]}`, ErrUnknownKind, `Images[0].ImageId: "ami-0123456789abcdef0"`},
		{`{"Workspaces": [], "Images": []}`, ErrInvalid, "it is both describe-workspaces and describe-workspace-images"},
		{`{"Snapshots": [], "Images": []}`, ErrInvalid, "it is both describe-snapshots and describe-workspace-images"},
		{`{"Snapshots": [{}]}`, ErrInvalid, "Snapshots[0]: no SnapshotId"},
		{`{"Snapshots": [{"SnapshotId": "rds:daily"}]}`, ErrUnknownKind, `Snapshots[0].SnapshotId: "rds:daily"`},
		{`{"Snapshots": [{"SnapshotId": "snap-1", "Encrypted": "true"}]}`, ErrInvalid,
			"Snapshots[0].Encrypted: is a text, not true or false"},
		{`{"Snapshots": [{"SnapshotId": "snap-1", "VolumeSize": -1}]}`, ErrInvalid, "VolumeSize: is the number -1"},
		{`{"Snapshots": [{"SnapshotId": "snap-1", "StartTime": {}}]}`, ErrInvalid, "StartTime: is an object, not a time"},
		{`{`, ErrInvalid, "the JSON ends at byte 1"},
		{`{"Workspaces": [{"WorkspaceId": "ws-1"`, ErrInvalid, "the JSON ends at byte"},
		{`{"Workspaces": [}`, ErrInvalid, "JSON at byte"},
		{`{"Workspaces": [],}`, ErrInvalid, "JSON at byte"},
		{`{"Workspaces": [] "x": 1}`, ErrInvalid, "JSON at byte"},
		{`{"Workspaces": []} {"Workspaces": []}`, ErrInvalid, "more follows after the document"},
		{`{"Workspaces": []} x`, ErrInvalid, "JSON at byte"},
		{`{"Workspaces": [], "Workspaces": []}`, ErrInvalid, "Workspaces: is there twice"},
		{`{"Workspaces": {}}`, ErrInvalid, "Workspaces: is an object, not a list"},
		{`{"Workspaces": "x"}`, ErrInvalid, "Workspaces: is a text, not a list"},
		{`{"Workspaces": [1]}`, ErrInvalid, "Workspaces[0]: is the number 1, not an object"},
		{`{"Workspaces": [null]}`, ErrInvalid, "Workspaces[0]: no WorkspaceId"},
		{`{"Workspaces": [{"State": "AVAILABLE"}]}`, ErrInvalid, "Workspaces[0]: no WorkspaceId"},
		{`{"Images": [{"ImageId": "wsi-1"}, {}]}`, ErrInvalid, "Images[1]: no ImageId"},
		{`{"Workspaces": [], "NextToken": 5}`, ErrInvalid, "NextToken: is the number 5, not a text"},
		{workspace(`"State": true`), ErrInvalid, "Workspaces[0].State: is true, not a text"},
		{workspace(`"State": "A", "State": "B"`), ErrInvalid, "Workspaces[0].State: is there twice"},
		{workspace(`"RootVolumeEncryptionEnabled": "false"`), ErrInvalid,
			"Workspaces[0].RootVolumeEncryptionEnabled: is a text, not true or false"},
		{workspace(`"UserVolumeEncryptionEnabled": 0`), ErrInvalid,
			"Workspaces[0].UserVolumeEncryptionEnabled: is the number 0, not true or false"},
		{workspace(`"WorkspaceProperties": []`), ErrInvalid, "Workspaces[0].WorkspaceProperties: is a list, not an object"},
		{workspace(`"WorkspaceProperties": {"RootVolumeSizeGib": 80.5}`), ErrInvalid,
			"RootVolumeSizeGib: is the number 80.5, not a whole number"},
		{workspace(`"WorkspaceProperties": {"RootVolumeSizeGib": -1}`), ErrInvalid, "RootVolumeSizeGib: is the number -1"},
		{workspace(`"WorkspaceProperties": {"RootVolumeSizeGib": 1e99}`), ErrInvalid,
			"RootVolumeSizeGib: is the number 1e99"},
		{workspace(`"WorkspaceProperties": {"UserVolumeSizeGib": "10"}`), ErrInvalid, "UserVolumeSizeGib: is a text"},
		{workspace(`"WorkspaceProperties": {"Protocols": ["PCOIP", 1]}`), ErrInvalid,
			"Protocols[1]: is the number 1, not a text"},
		{workspace(`"ModificationStates": {}`), ErrInvalid, "ModificationStates: is an object, not a list"},
		{workspace(`"ModificationStates": ["x"]`), ErrInvalid, "ModificationStates[0]: is a text, not an object"},
		{workspace(`"Unknown": {"a": 1, "a": 2}`), ErrInvalid, "Unknown: a is there twice"},
		{workspace(`"Unknown": ` + deep), ErrInvalid, "Unknown: nested more than 32 deep"},
		{`{"Images": [{"ImageId": "wsi-1", "Created": true}]}`, ErrInvalid, "Images[0].Created: is true, not a time"},
		{"{\"Workspaces\": [{\"WorkspaceId\": \"ws-\xff\"}]}", ErrInvalid, "neither UTF-8 nor UTF-16"},
	} {
		name := tt.text[:min(len(tt.text), 60)]
		t.Run(name, func(t *testing.T) {
			d, err := Parse("doc.json", []byte(tt.text))
			if !errors.Is(err, tt.kind) || !strings.Contains(fmt.Sprint(err), tt.want) ||
				!strings.HasPrefix(fmt.Sprint(err), "doc.json: ") {
				t.Errorf("%+v, %v; want %v with %q", d, err, tt.kind, tt.want)
			}
		})
	}
}

// TestLimits tries each limit at, below and above its bound.
func TestLimits(t *testing.T) {
	keys := func(n int) string {
		var b strings.Builder
		b.WriteString(`{"Workspaces": []`)
		for k := range n - 1 {
			fmt.Fprintf(&b, `, "k%d": 0`, k)
		}
		return b.String() + "}"
	}
	unknownKeys := func(n int) string {
		return `{"Workspaces": [], "u": ` + strings.Replace(keys(n), `"Workspaces": []`, `"w": 0`, 1) + "}"
	}
	entries := func(n int) string {
		return `{"Workspaces": [{"WorkspaceId": "w", "ModificationStates": [` + strings.TrimSuffix(strings.Repeat("{},", n-1),
			",") + `]}]}`
	}
	depth := func(n int) string {
		return `{"Workspaces": [], "u": ` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`
	}
	size := func(n int) string {
		const head, tail = `{"Workspaces": [], "u": "`, `"}`
		return head + strings.Repeat("x", n-len(head)-len(tail)) + tail
	}
	for _, tt := range []struct {
		name  string
		limit int
		make  func(int) string
	}{
		{"fields", maxKeys, keys}, {"fields of an unknown object", maxKeys, unknownKeys},
		{"entries", maxEntries, entries}, {"depth", maxDepth, depth}, {"size", MaxSize, size},
	} {
		for n, ok := range map[int]bool{tt.limit - 1: true, tt.limit: true, tt.limit + 1: false} {
			_, err := Parse("", []byte(tt.make(n)))
			if (err == nil) != ok || (!ok && !errors.Is(err, ErrInvalid)) {
				t.Errorf("%s: %d: %v", tt.name, n, err)
			}
		}
	}
}
