package linux

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// TestKernelCommandLine says which command lines the loaders of some systems
// use; "?" is for others that may be.
func TestKernelCommandLine(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"nothing":         {"-- root/boot/vmlinuz --\n", []string{"?"}},
		"an empty script": {"-- root/boot/grub/grub.cfg --\n", []string{"?"}},
		"Amazon Linux 2": {`
-- root/boot/grub2/grub.cfg --
set default="0"
function load_video {
  if [ x$feature_all_video_module = xy ]; then
    insmod all_video
  fi
}
terminal_output console
menuentry 'Amazon Linux' --class amzn $menuentry_id_option 'gnulinux-x' {
	load_video
	set gfxpayload=keep
	search --no-floppy --fs-uuid --set=root abc
	linux16	/boot/vmlinuz-5.10 root=UUID=abc ro  console=tty0 a="b c"
	initrd16	/boot/initramfs.img
}
`, []string{"root=UUID=abc ro console=tty0 a=b c"}},
		"Ubuntu": {`
-- root/boot/grub/grub.cfg --
if [ -s $prefix/grubenv ]; then
  set have_grubenv=true
  load_env
fi
if [ "${initrdfail}" = 2 ]; then
   set initrdfail=
elif [ "${next_entry}" ] ; then
   set default="${next_entry}"
else
   set default="0"
fi
function gfxmode {
	set gfxpayload="${1}"
	if [ "${1}" = "keep" ]; then
		set vt_handoff=vt.handoff=7
	else
		set vt_handoff=
	fi
}
if [ "${recordfail}" != 1 ]; then
    if hwmatch ${prefix}/gfxblacklist.txt 3; then
      set linux_gfx_mode=keep
    else
      set linux_gfx_mode=text
    fi
else
  set linux_gfx_mode=text
fi
menuentry 'Ubuntu' {
	gfxmode $linux_gfx_mode
	linux	/boot/vmlinuz-6.8 root=PARTUUID=x ro  console=tty1 $vt_handoff
}
submenu 'Advanced options for Ubuntu' $menuentry_id_option 'gnulinux-advanced' {
	menuentry 'Ubuntu, with Linux 6.8' {
		linux	/boot/vmlinuz-6.8 root=PARTUUID=x ro console=tty1 extra
	}
	menuentry 'Ubuntu, with Linux 6.8 (recovery mode)' {
		linux	/boot/vmlinuz-6.8 root=PARTUUID=x ro recovery nomodeset dis_ucode_ldr cloud-init=disabled
	}
}
-- root/boot/grub/grubenv --
# GRUB Environment Block
##########
`, []string{"root=PARTUUID=x ro console=tty1", "root=PARTUUID=x ro console=tty1 vt.handoff=7",
			"root=PARTUUID=x ro console=tty1 extra"}},
		"Red Hat": {`
-- root/boot/grub2/grub.cfg --
if [ -f ${config_directory}/grubenv ]; then
  load_env -f ${config_directory}/grubenv
elif [ -s $prefix/grubenv ]; then
  load_env
fi
if [ -z "${kernelopts}" ]; then
  set kernelopts="the fallback cloud-init=disabled "
fi
insmod blscfg
blscfg
-- root/boot/grub2/grubenv --
# GRUB Environment Block
saved_entry=x
kernelopts=root=/dev/sda1 ro a\\b 
tuned_params=quiet
####
-- root/boot/loader/entries/a.conf --
title A
linux /vmlinuz
options $kernelopts ${tuned_params} tail
-- root/boot/loader/entries/b.conf --
title B
linux /vmlinuz
options one
options two
-- root/boot/loader/entries/c.conf.bak --
linux /vmlinuz
options bak
-- root/boot/loader/entries/d.conf --
title no kernel
options none
`, []string{`root=/dev/sda1 ro a\b quiet tail`, "one two"}},
		"Red Hat without its environment": {`
-- root/boot/grub2/grub.cfg --
if [ -s $prefix/grubenv ]; then
  load_env
fi
if [ -z "${kernelopts}" ]; then
  set kernelopts="the fallback"
fi
blscfg
-- root/boot/loader/entries/a.conf --
linux /vmlinuz
options $kernelopts
`, []string{"the fallback"}},
		"default_kernelopts": {`
-- root/boot/grub2/grub.cfg --
set default_kernelopts="ro default"
blscfg
-- root/boot/loader/entries/a.conf --
linux /vmlinuz
`, []string{"ro default"}},
		"entries that the script does not read": {`
-- root/boot/grub/grub.cfg --
menuentry x {
	linux /vmlinuz read
}
-- root/boot/loader/entries/a.conf --
linux /vmlinuz
options unread
`, []string{"read"}},
		"a custom file": {`
-- root/boot/grub/grub.cfg --
menuentry x {
	linux /vmlinuz read
}
if [ -f  ${config_directory}/custom.cfg ]; then
  source ${config_directory}/custom.cfg
elif [ -z "${config_directory}" -a -f  $prefix/custom.cfg ]; then
  source $prefix/custom.cfg
fi
-- root/boot/grub/custom.cfg --
menuentry mine { linux /vmlinuz custom; }
`, []string{"read", "custom"}},
		"what depends on the firmware": {`
-- root/boot/grub/grub.cfg --
if [ "$grub_platform" = "efi" ]; then
  set how=efi
else
  set how=bios
fi
menuentry x { linux /vmlinuz $how
}
menuentry y { linux /vmlinuz on=$grub_platform
}
`, []string{"efi", "bios", "?"}},
		"a script that is cut off": {"-- root/boot/grub/grub.cfg --\nmenuentry x {\n linux /vmlinuz a\n",
			[]string{"?"}},
		"a quote without an end": {"-- root/boot/grub/grub.cfg --\nmenuentry 'x {\n linux /vmlinuz a\n}\n",
			[]string{"?"}},
		"a volume for /boot that is not mounted": {"-- boot/grub/grub.cfg --\nmenuentry x {\n linux /vmlinuz a\n}\n",
			[]string{"a"}},
		"a volume for /boot": {`
-- root/etc/fstab --
LABEL=BOOT /boot ext4
-- root/boot/grub/grub.cfg --
menuentry old { linux /vmlinuz hidden
}
-- boot/grub/grub.cfg --
menuentry x { linux /vmlinuz seen
}
`, []string{"seen"}},
		"a volume for /boot that is missing": {"-- root/etc/fstab --\nLABEL=GONE /boot ext4\n", []string{"?"}},
		"an EFI system partition": {`
-- root/etc/fstab --
LABEL=VFAT /boot/efi vfat
-- vfat/EFI/redhat/grub.cfg --
menuentry x { linuxefi /vmlinuz a
}
-- vfat/EFI/BOOT/BOOT.CSV --
`, []string{"a"}},
		"a script that leads to another": {`
-- vfat/EFI/ubuntu/grub.cfg --
search.fs_uuid abc root hd0,gpt1
set prefix=($root)'/boot/grub'
configfile $prefix/grub.cfg
-- root/boot/grub/grub.cfg --
menuentry x { linux /vmlinuz a
}
`, []string{"a"}},
		"systemd-boot": {`
-- vfat/loader/entries/a.conf --
title x
linux /x/linux
options root=x ro $literal
`, []string{"root=x ro $literal"}},
		"extlinux": {"-- root/boot/extlinux/extlinux.conf --\nLABEL x\n LINUX /vmlinuz\n APPEND root=x ro\n",
			[]string{"root=x ro"}},
		"menu.lst": {"-- root/boot/grub/menu.lst --\ntitle x\nroot (hd0)\n" +
			"kernel /boot/vmlinuz root=LABEL=/ console=hvc0\n", []string{"/boot/vmlinuz root=LABEL=/ console=hvc0"}},
		"recovery alone": {"-- root/boot/grub/grub.cfg --\nmenuentry x {\n linux /vmlinuz single\n}\n", []string{"single"}},
	} {
		t.Run(name, func(t *testing.T) {
			root, others, names := parseLayout(t, c.text)
			for i, name := range names {
				if name == "vfat" {
					others[i].Type = "vfat"
				}
			}
			m, err := Open(Input{Root: root, Layout: ReadLayout(root, others), Trail: &requirement.Trail{}})
			if err != nil {
				t.Fatal(err)
			}
			lines, err := m.kernelCommandLine()
			var got []string
			for _, l := range lines {
				got = append(got, l.Text)
				if l.Evidence.Source == "" || l.Evidence.Path == "" {
					t.Errorf("%q comes from nowhere", l.Text)
				}
			}
			if err != nil {
				got = append(got, "?")
			}
			want := slices.Clone(c.want)
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%q, want %q (%v)", got, want, err)
			}
		})
	}
}

// Scripts without end end, and what comes of them is bounded.
func TestGrubBounds(t *testing.T) {
	for name, script := range map[string]string{
		"it reads itself":  "source $prefix/grub.cfg\nsource $prefix/grub.cfg\n",
		"it calls itself":  "function f { f; f; }\nf\n",
		"blocks in blocks": strings.Repeat("if true; then\n", 100) + strings.Repeat("fi\n", 100),
		"branches in branches": strings.Repeat("if unknown; then set a=1; else set a=2; fi\n", 20_000) +
			"menuentry x { linux /vmlinuz $a\n}\n",
		"branches of calls": "function f { if unknown; then g; else g; fi; }\n" +
			"function g { if unknown; then h; else h; fi; }\nfunction h { if unknown; then i; else i; fi; }\n" +
			strings.Repeat("f\n", 50_000),
		"many values": strings.Repeat("if unknown; then set a=${a}x; fi\n", 1000) +
			"menuentry x { linux /vmlinuz $a $a $a\n}\n",
		"a value that doubles": strings.Repeat("set a=$a$a\n", 64) + "set a=xxxxxxxxxxxxxxxxxxxx\n" +
			strings.Repeat("set a=$a$a\n", 64) + "menuentry x { linux /vmlinuz $a\n}\n",
		"many kernels": strings.Repeat("menuentry x { linux /vmlinuz a\n}\n", 60_000),
	} {
		t.Run(name, func(t *testing.T) {
			root := fstest.MapFS{"etc/os-release": {Data: []byte("ID=x\n")}, "boot/grub/grub.cfg": {Data: []byte(script)}}
			m, err := Open(Input{Root: Volume{FS: root}})
			if err != nil {
				t.Fatal(err)
			}
			lines, _ := m.kernelCommandLine()
			if len(lines) > maxBootLines {
				t.Errorf("%d lines", len(lines))
			}
			for _, l := range lines {
				if len(l.Text) > maxConfig {
					t.Errorf("a line of %d bytes", len(l.Text))
				}
			}
		})
	}
}

// 60,000 entries of a boot loader are not read, and the finding says so.
func TestBootEntriesBound(t *testing.T) {
	root := fstest.MapFS{"etc/os-release": {Data: []byte("ID=x\n")}, "boot/grub2/grub.cfg": {Data: []byte("blscfg\n")}}
	for i := range 60_000 {
		root[fmt.Sprintf("boot/loader/entries/%d.conf", i)] = &fstest.MapFile{Data: []byte("linux /vmlinuz\noptions a\n")}
	}
	m, err := Open(Input{Root: Volume{FS: root}})
	if err != nil {
		t.Fatal(err)
	}
	if lines, err := m.kernelCommandLine(); err == nil || len(lines) != 1 {
		t.Errorf("%d lines, %v", len(lines), err)
	}
}

// TestCloudInitOff changes one thing of the ready machine.
func TestCloudInitOff(t *testing.T) {
	const (
		passed, failed, warning, undetermined = requirement.Passed, requirement.Failed, requirement.Warning,
			requirement.Undetermined
		identify = "-- usr/lib/cloud-init/ds-identify --\nx\n"
	)
	for name, c := range map[string]struct {
		want    requirement.Status
		says    string
		changes string
	}{
		"the file":                       {failed, "cloud-init.disabled", "-- etc/cloud/cloud-init.disabled --\n"},
		"a folder of that name":          {passed, "", "-- etc/cloud/cloud-init.disabled/x --\n"},
		"a link to nowhere of that name": {passed, "", "-- links --\netc/cloud/cloud-init.disabled -> /nowhere\n"},
		"both files": {passed, "",
			"-- etc/cloud/cloud-init.disabled --\n-- etc/cloud/cloud-init.enabled --\n"},
		"the file, and the kernel's word": {passed, "", "-- etc/cloud/cloud-init.disabled --\n" +
			"-- boot/grub/grub.cfg --\nmenuentry x { linux /vmlinuz cloud-init=enabled\n}\n"},
		"the last word counts": {passed, "",
			"-- boot/grub/grub.cfg --\nmenuentry x { linux /vmlinuz cloud-init=disabled cloud-init=enabled\n}\n"},
		"one of two kernels": {failed, "cloud-init=disabled", "-- boot/grub/grub.cfg --\n" +
			"menuentry x { linux /vmlinuz a\n}\nmenuentry y { linux /vmlinuz cloud-init=disabled\n}\n"},
		"a longer word": {passed, "",
			"-- boot/grub/grub.cfg --\nmenuentry x { linux /vmlinuz cloud-init=disabled.not my-cloud-init=disabled\n}\n"},
		"the policy of the kernel": {failed, "ci.di.policy=disabled",
			"-- boot/grub/grub.cfg --\nmenuentry x { linux /vmlinuz ci.di.policy=disabled\n}\n"},
		"no loader": {undetermined, "boot loader", "-- remove --\nboot/grub/grub.cfg\n"},
		"the policy": {failed, "its policy is disabled",
			"-- etc/cloud/ds-identify.cfg --\npolicy: disabled\n"},
		"the policy, quoted": {failed, "its policy is disabled",
			"-- etc/cloud/ds-identify.cfg --\n# x\n policy : \"disabled\" # why\n"},
		"the last policy": {passed, "",
			"-- etc/cloud/ds-identify.cfg --\npolicy: disabled\npolicy: enabled\n"},
		"a policy of the usual kind": {passed, "",
			"-- etc/cloud/ds-identify.cfg --\npolicy: search,found=all,maybe=all,notfound=disabled\n#policy: disabled\n"},
		"two names": {failed, "NoCloud, ConfigDrive",
			"-- etc/cloud/cloud.cfg.d/99.cfg --\ndatasource_list: [ NoCloud, ConfigDrive ]\n"},
		"two names, found by ds-identify": {failed, "NoCloud, ConfigDrive",
			identify + "-- etc/cloud/cloud.cfg.d/99.cfg --\ndatasource_list: [ NoCloud, ConfigDrive ]\n"},
		"with Ec2": {passed, "",
			"-- etc/cloud/cloud.cfg.d/99.cfg --\ndatasource_list: [ NoCloud, Ec2 ]\n"},
		"the last file counts": {passed, "", "-- etc/cloud/cloud.cfg.d/10.cfg --\n" +
			"datasource_list: [ NoCloud, ConfigDrive ]\n-- etc/cloud/cloud.cfg.d/20.cfg --\ndatasource_list: [ Ec2 ]\n"},
		"a file that is not read": {passed, "",
			"-- etc/cloud/cloud.cfg.d/99.cfg.dpkg-old --\ndatasource_list: [ NoCloud ]\n"},
		"a comment": {passed, "",
			"-- etc/cloud/cloud.cfg.d/99.cfg --\n# datasource_list: [ NoCloud ]\n"},
		"a list of lines": {failed, "NoCloud",
			"-- etc/cloud/cloud.cfg.d/99.cfg --\ndatasource_list:\n - NoCloud\n - ConfigDrive\n"},
		"None alone": {warning, "None",
			"-- etc/cloud/cloud.cfg.d/99.cfg --\ndatasource_list: [ None ]\n"},
		"a name that is not one": {failed, "ec2",
			"-- etc/cloud/cloud.cfg.d/99.cfg --\ndatasource_list: [ ec2 ]\n"},
		"a seed": {passed, "", "-- etc/cloud/cloud.cfg.d/99.cfg --\n" +
			"datasource_list: [ NoCloud, ConfigDrive ]\n-- var/lib/cloud/seed/nocloud/meta-data --\n" +
			"-- var/lib/cloud/seed/nocloud/user-data --\n"},
		"no YAML": {undetermined, "99.cfg",
			"-- etc/cloud/cloud.cfg.d/99.cfg --\ndatasource_list: [ NoCloud\nx: {\n"},
		"no YAML that matters": {passed, "", "-- etc/cloud/cloud.cfg.d/99.cfg --\nx: {\n"},
		"the next kernels": {warning, "next generated",
			"-- etc/default/grub.d/50-x.cfg --\nGRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX cloud-init=disabled\"\n"},
		"a copy that is not read": {passed, "",
			"-- etc/default/grub.d/50-x.cfg.bak --\nGRUB_CMDLINE_LINUX=\"cloud-init=disabled\"\n"},
		"the next kernels, taken back": {passed, "", "-- etc/default/grub.d/50-x.cfg --\n" +
			"GRUB_CMDLINE_LINUX=cloud-init=disabled\n-- etc/default/grub.d/60-x.cfg --\nGRUB_CMDLINE_LINUX=quiet\n"},
		"kernel-install's next": {warning, "etc/kernel/cmdline",
			"-- etc/kernel/cmdline --\nroot=x cloud-init=disabled\n"},
		"ds-identify that is empty": {failed, "ds-identify", "-- usr/lib/cloud-init/ds-identify --\n"},
		"lines, which ds-identify does not read": {passed, "",
			identify + "-- etc/cloud/cloud.cfg.d/99.cfg --\ndatasource_list:\n - NoCloud\n - ConfigDrive\n"},
		"one name, taken by ds-identify": {failed, "NoCloud",
			identify + "-- etc/cloud/cloud.cfg.d/99.cfg --\ndatasource_list: [ NoCloud ]\n"},
		"None at the end, with ds-identify": {failed, "none of the datasources",
			identify + "-- etc/cloud/cloud.cfg.d/99.cfg --\ndatasource_list: [ NoCloud, ConfigDrive, None ]\n"},
		"one name and None": {warning, "None",
			identify + "-- etc/cloud/cloud.cfg.d/99.cfg --\ndatasource_list: [ NoCloud, None ]\n"},
		"ds-identify's own name": {passed, "", identify + "-- etc/cloud/cloud.cfg.d/99.cfg --\n" +
			"datasource_list: [ NoCloud, ConfigDrive ]\n-- etc/cloud/ds-identify.cfg --\ndatasource: Ec2\n"},
		"ds-identify that the package lost": {failed, "ds-identify",
			"-- var/lib/dpkg/info/cloud-init.list --\n/usr/bin/cloud-init\n/usr/lib/cloud-init/ds-identify\n"},
	} {
		t.Run(name, func(t *testing.T) {
			f := find(t, newMachine(t, c.changes), "linux.component.cloud-init")
			if f.Status != c.want || !strings.Contains(f.Message, c.says) {
				t.Errorf("%s, want %s that says %q: %s", f.Status, c.want, c.says, f.Message)
			}
		})
	}
}
