package statement

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
)

const (
	windowsIDs = "Activation ID: 21c56779-b449-4d20-adfc-eece0e1ad74b\nApplication ID: " +
		"55c92734-d682-4d71-983e-d6ec3f16059f\n"
	officeIDs = "Activation ID: d450596f-894d-49e0-966a-fd39ed4c4c64\nApplication ID: " +
		"0ff1ce15-a989-479d-af46-f275c6370663\n"
	english = `Microsoft (R) Windows Script Host Version 5.812
Copyright (C) Microsoft Corporation. All rights reserved.

Software licensing service version: 10.0.17763.1

Name: Windows(R), ServerDatacenter edition
Description: Windows(R) Operating System, VOLUME_KMSCLIENT channel
` + windowsIDs + `Extended PID: 00000-00000-000-000000-03-1033-17763.0000-0012020
Product Key Channel: Volume:GVLK
Installation ID: 000000000000000000000000000000000000000000000000000000000000001
Partial Product Key: 2YT43
License Status: Licensed
Volume activation expiration: 259200 minute(s) (180 day(s))
Remaining Windows rearm count: 1001
Remaining SKU rearm count: 1000
Trusted time: 1/2/2020 3:04:05 AM
Configured Activation Type: All

Most recent activation information:
Key Management Service client information
    Client Machine ID (CMID): 00000000-1111-2222-3333-444444444444
    KMS machine name from DNS: kms.example.com:1688
    KMS machine IP address: 192.0.2.1
    KMS machine extended PID: 00000-00000-000-000000-03-1033-17763.0000-0012020
    Activation interval: 120 minutes
    Renewal interval: 10080 minutes
    KMS host caching: Enabled
`
	// The rest relies only on the order of the lines: no count's label but the
	// one wanted has "Windows".
	windows7 = `Software licensing service version: 6.1.7601.17514

Name: Windows(R) 7, Enterprise edition
Description: Windows Operating System - Windows(R) 7, VOLUME_KMSCLIENT channel
` + windowsIDs + `Extended PID: 00000-00000-000-000000-03-1033-7601.0000-0012020
Installation ID: 000000000000000000000000000000000000000000000000000001
Partial Product Key: 7B9N3
License Status: Initial grace period
Time remaining: 43200 minute(s) (30 day(s))
Remaining Windows rearm count: 3
Trusted time: 1/2/2020 3:04:05 AM
Please use slmgr.vbs /ato to activate and update KMS client information in order to update values.
`
	german = `Version des Softwarelizenzierungsdiensts: 10.0.19041.1

Name: Windows(R), Enterprise edition
Beschreibung: Windows(R) Operating System, VOLUME_MAK channel
Aktivierungs-ID: 21c56779-b449-4d20-adfc-eece0e1ad74b
Anwendungs-ID: 55C92734-D682-4D71-983E-D6EC3F16059F
Erweiterte PID: 00000-00000-000-000000-03-1031-19041.0000-0012020
Product Key-Kanal: Volume:MAK
Installations-ID: 000000000000000000000000000000000000000000000000000000000000001
Lizenz-URL verwenden: https://licence.example.com/x?y=1
Teil-Product Key: 34678
Lizenzstatus: Lizenziert für immer
Verbleibende Anzahl der Windows-Rearms: 1000
Verbleibende Anzahl der SKU-Rearms: 1001
Vertrauenswürdige Zeit: 02.01.2020 03:04:05
`
	french = `Nom : Windows(R), Professional edition
Description : Windows(R) Operating System, RETAIL channel
ID d’activation : 21c56779-b449-4d20-adfc-eece0e1ad74b
ID de l’application : 55c92734-d682-4d71-983e-d6ec3f16059f
Clé de produit partielle : 3V66T
État de la licence : avec licence
Nombre de réinitialisations restantes de Windows : 999
Nombre de réinitialisations restantes de la référence SKU : 998
Heure approuvée : 02/01/2020 03:04:05
`
	chinese = `软件授权服务版本：10.0.17763.1

名称: Windows(R), EnterpriseS edition
描述: Windows(R) Operating System, VOLUME_KMSCLIENT channel
激活 ID: 21c56779-b449-4d20-adfc-eece0e1ad74b
应用程序 ID: 55c92734-d682-4d71-983e-d6ec3f16059f
部分产品密钥: J462D
许可证状态: 已授权
批量激活过期: 259197 分钟(180 天)
剩余 Windows 重置计数: 1001
剩余 SKU 重置计数: 1000
信任时间:2020/1/2 3:04:05
已配置的激活类型：全部
`
	japanese_ = `名前: Windows(R), Enterprise edition
説明: Windows(R) Operating System, VOLUME_KMSCLIENT channel
ライセンス認証 ID: 21c56779-b449-4d20-adfc-eece0e1ad74b
アプリケーション ID: 55c92734-d682-4d71-983e-d6ec3f16059f
部分的なプロダクト キー: 2YT43
ライセンスの状態: ライセンスされています
残りのWindows猶予期限リセット可能回数：1001
残りの SKU リセット可能回数：1000
信頼された時刻: 2020/01/02 3:04:05
`
	// A language that writes neither "Windows" nor the rest in Latin letters.
	foreign = `Α: Windows(R), Enterprise edition
Β: Windows(R) Operating System, OEM_DM channel
Γ: 21c56779-b449-4d20-adfc-eece0e1ad74b
Δ: 55c92734-d682-4d71-983e-d6ec3f16059f
Ε: 2YT43
Ζ: Η
Θ: 5
Ι SKU: 4
Κ: 2/1/2020
Λ: 1688
`
	office = `Name: Office 16, Office16ProPlusVL_KMS_Client edition
Description: Office 16, VOLUME_KMSCLIENT channel
` + officeIDs + `Partial Product Key: WFG99
License Status: Licensed
Remaining App rearm count: 1
Remaining SKU rearm count: 2
Trusted time: 1/2/2020 3:04:05 AM
`
)

func TestSlmgr(t *testing.T) {
	redacted := strings.NewReplacer("21c56779-b449-4d20-adfc-eece0e1ad74b", "*", "55c92734-d682-4d71-983e-d6ec3f16059f",
		"*")
	count := func(n int) *int { return &n }
	server := &Slmgr{"Windows(R), ServerDatacenter edition", "Windows(R) Operating System, VOLUME_KMSCLIENT channel",
		"VOLUME_KMSCLIENT", "Licensed", 1001, count(1000)}
	for _, tt := range []struct {
		name string
		text string
		want *Slmgr
	}{
		{"English", english, server},
		{"with the line ends of Windows", strings.ReplaceAll(english, "\n", "\r\n"), server},
		{"with doubled line ends", strings.ReplaceAll(english, "\n", "\r\r\n"), server},
		{"copied from the dialog", "---------------------------\nWindows Script Host\n---------------------------\n" +
			english + "\n---------------------------\nOK   \n", server},
		{"indented", strings.ReplaceAll(english, "\n", "\n\t "), server},
		{"IDs made unreadable", redacted.Replace(english), server},
		{"Windows 7", windows7, &Slmgr{"Windows(R) 7, Enterprise edition",
			"Windows Operating System - Windows(R) 7, VOLUME_KMSCLIENT channel", "VOLUME_KMSCLIENT", "Initial grace period", 3,
			nil}},
		{"no count left", strings.Replace(windows7, "count: 3", "count: 0", 1),
			&Slmgr{"Windows(R) 7, Enterprise edition", "Windows Operating System - Windows(R) 7, VOLUME_KMSCLIENT channel",
				"VOLUME_KMSCLIENT", "Initial grace period", 0, nil}},
		{"German, with a product key of digits", german,
			&Slmgr{"Windows(R), Enterprise edition", "Windows(R) Operating System, VOLUME_MAK channel", "VOLUME_MAK",
				"Lizenziert für immer", 1000, count(1001)}},
		{"French, with spaces before the colons", french,
			&Slmgr{"Windows(R), Professional edition", "Windows(R) Operating System, RETAIL channel", "RETAIL", "avec licence",
				999, count(998)}},
		{"French, with spaces that do not break", strings.ReplaceAll(french, " :", "\u00a0:"),
			&Slmgr{"Windows(R), Professional edition", "Windows(R) Operating System, RETAIL channel", "RETAIL", "avec licence",
				999, count(998)}},
		{"Chinese", chinese, &Slmgr{"Windows(R), EnterpriseS edition",
			"Windows(R) Operating System, VOLUME_KMSCLIENT channel", "VOLUME_KMSCLIENT", "已授权", 1001, count(1000)}},
		{"Chinese, IDs made unreadable", redacted.Replace(chinese),
			&Slmgr{"Windows(R), EnterpriseS edition", "Windows(R) Operating System, VOLUME_KMSCLIENT channel",
				"VOLUME_KMSCLIENT", "已授权", 1001, count(1000)}},
		{"Japanese", japanese_, &Slmgr{"Windows(R), Enterprise edition",
			"Windows(R) Operating System, VOLUME_KMSCLIENT channel", "VOLUME_KMSCLIENT", "ライセンスされています", 1001, count(1000)}},
		{"right to left", strings.ReplaceAll(english, ": ", "\u200f: \u200e"), server},
		{"labels of another script", foreign,
			&Slmgr{"Windows(R), Enterprise edition", "Windows(R) Operating System, OEM_DM channel", "OEM_DM", "Η", 5, count(4)}},
		{"Office before Windows", office + "\n" + english, server},
		{"Windows before Office", english + "\n" + office, server},
		{"an add-on with a key of its own",
			english + "\nName: Windows(R), Add-on edition\nDescription: Windows(R) Operating System, VOLUME_MAK channel\n" +
				windowsIDs + "Partial Product Key: AAAAA\nLicense Status: Licensed\nRemaining Windows rearm count: " +
				"1001\nRemaining SKU rearm count: 1000\n", &Slmgr{"", "", "", "", 1001, count(1000)}},
		{"an edition without a key", english +
			"\nName: Windows(R), Other edition\nDescription: Windows(R) Operating System, VOLUME_MAK channel\n" + windowsIDs +
			"This license is not in use.\nLicense Status: Unlicensed\nRemaining Windows rearm count: 1001\nRemaining SKU " +
			"rearm count: 1000\n", server},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := Parse("slmgr.txt", []byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&Document{Name: "slmgr.txt", Kind: License, Slmgr: tt.want}, d); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSlmgrRefuses(t *testing.T) {
	drop := func(text, line string) string {
		if !strings.Contains(text, line) {
			t.Fatalf("no %q", line)
		}
		return strings.ReplaceAll(text, line, "")
	}
	for _, tt := range []struct {
		name string
		text string
		kind error
		want string
	}{
		{"empty", "", ErrUnknownKind, ""},
		{"prose", "Remaining: 5\nWindows: 3\n", ErrUnknownKind, ""},
		{"/dli, which has no count", "Name: Windows(R), Professional edition\nDescription: Windows(R) Operating System, " +
			"RETAIL channel\nPartial Product Key: 3V66T\nLicense Status: Licensed\n", ErrInvalid, "missing or ambiguous"},
		{"Office alone", office, ErrUnknownKind, ""},
		{"without the count", drop(english, "Remaining Windows rearm count: 1001\n"), ErrInvalid, "missing or ambiguous"},
		{"cut off before the number", english[:strings.Index(english, "1001\n")], ErrInvalid, "missing or ambiguous"},
		{"not a number", strings.Replace(english, "count: 1001", "count: many", 1), ErrInvalid, "missing or ambiguous"},
		{"negative", strings.Replace(english, "count: 1001", "count: -1", 1), ErrInvalid, "missing or ambiguous"},
		{"a number of ten digits", strings.Replace(english, "count: 1001", "count: 1000000000", 1), ErrInvalid,
			"missing or ambiguous"},
		{"two that differ", english + "\n" + strings.Replace(english, "count: 1001", "count: 1", 1), ErrInvalid,
			"two remaining Windows rearm counts, 1001 and 1"},
		{"Windows 7 in another language, IDs made unreadable",
			strings.NewReplacer("Remaining Windows rearm count", "Übrige Windows-Rearms", "21c56779-b449-4d20-adfc-eece0e1ad74b",
				"*", "55c92734-d682-4d71-983e-d6ec3f16059f", "*").Replace(windows7), ErrInvalid, "missing or ambiguous"},
		{"another script without the SKU", drop(foreign, " SKU"), ErrInvalid, "missing or ambiguous"},
		{"too many lines", strings.Repeat("a\n", maxLines) + english, ErrUnknownKind, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := Parse("slmgr.txt", []byte(tt.text))
			if !errors.Is(err, tt.kind) || !strings.Contains(fmt.Sprint(err), tt.want) {
				t.Errorf("%+v, %v; want %v with %q", d, err, tt.kind, tt.want)
			}
		})
	}
}

func TestLineLimit(t *testing.T) {
	for n, ok := range map[int]bool{maxLines - 1: true, maxLines: true, maxLines + 1: false} {
		if lines, got := splitLines(strings.Repeat("a: b\n", n)); got != ok || (ok && len(lines) != n) {
			t.Errorf("%d lines: %v", n, got)
		}
	}
}

func TestTextLimit(t *testing.T) {
	for n, ok := range map[int]bool{maxText - 1: true, maxText: true, maxText + 1: false} {
		_, err := Parse("", []byte(english+strings.Repeat(" ", n-len(english))))
		if (err == nil) != ok || (!ok && !errors.Is(err, ErrUnknownKind)) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// TestEncodings: the count is the same in every encoding that Windows writes.
func TestEncodings(t *testing.T) {
	utf16 := func(e unicode.Endianness, bom unicode.BOMPolicy) encoding.Encoding { return unicode.UTF16(e, bom) }
	for _, tt := range []struct {
		name   string
		text   string
		enc    encoding.Encoding
		status string
	}{
		{"UTF-8 with a byte order mark", chinese, unicode.UTF8BOM, "已授权"},
		{"UTF-16", chinese, utf16(unicode.LittleEndian, unicode.UseBOM), "已授权"},
		{"UTF-16, big endian", chinese, utf16(unicode.BigEndian, unicode.UseBOM), "已授权"},
		{"UTF-16 without a mark", chinese, utf16(unicode.LittleEndian, unicode.IgnoreBOM), "已授权"},
		{"UTF-16 without a mark, big endian", german, utf16(unicode.BigEndian, unicode.IgnoreBOM), "Lizenziert für immer"},
		{"Windows-1252", german, charmap.Windows1252, ""},
		{"code page 850", german, charmap.CodePage850, ""},
		{"code page 437", german, charmap.CodePage437, ""},
		{"Windows-1252, ASCII status", strings.ReplaceAll(german, "für immer", ""), charmap.Windows1252, "Lizenziert"},
		{"GBK", chinese, simplifiedchinese.GBK, ""},
		{"GBK, full-width colons alone", strings.NewReplacer(": ", "：", ":2", "：2").Replace(chinese), simplifiedchinese.GBK,
			""},
		{"Shift JIS", japanese_, japanese.ShiftJIS, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			data, err := tt.enc.NewEncoder().Bytes([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			want, err := Parse("", []byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			d, err := Parse("", data)
			if err != nil {
				t.Fatal(err)
			}
			if d.Slmgr.RemainingWindowsRearm != want.Slmgr.RemainingWindowsRearm || d.Slmgr.Name != want.Slmgr.Name ||
				d.Slmgr.Status != tt.status {
				t.Errorf("%+v, want %+v", d.Slmgr, want.Slmgr)
			}
		})
	}
}

// TestEncodingDecides: where code pages read different counts, none is taken.
func TestEncodingDecides(t *testing.T) {
	for _, text := range []string{
		// The two bytes are a colon only in Shift JIS, which then sees two
		// counts.
		strings.Replace(windows7, "count: 3", "count: 3\nx Windows\x81\x46 4", 1),
		// They are a colon in Shift JIS, another one in GBK: each sees its own.
		strings.Replace(windows7, "Remaining Windows rearm count: 3", "x Windows\x81\x46 4\ny Windows\xa3\xba 5", 1),
	} {
		if d, err := Parse("", []byte(text)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v, %v", d, err)
		}
	}
	for _, odd := range [][]byte{{0xff, 0xfe, 'a'}, {0xfe, 0xff, 0, 'a', 'b'}} {
		if d, err := Parse("", odd); err == nil {
			t.Errorf("%x: %+v", odd, d)
		}
	}
}
