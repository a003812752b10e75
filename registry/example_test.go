package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/coldcheck/coldcheck/internal/hivetest"
	"github.com/coldcheck/coldcheck/registry"
)

// exampleHive stands for a SYSTEM hive that was read from somewhere.
func exampleHive() *bytes.Reader {
	text := []byte("W\x00K\x00S\x00-\x001\x00\x00\x00")
	return bytes.NewReader(hivetest.Build(hivetest.Key{Name: "ROOT", Subkeys: []hivetest.Key{
		{Name: "Select", Values: []hivetest.Value{{Name: "Current", Type: 4, Data: []byte{1, 0, 0, 0}}}},
		{Name: "ControlSet001", Subkeys: []hivetest.Key{{Name: "Control",
			Subkeys: []hivetest.Key{{Name: "ComputerName", Subkeys: []hivetest.Key{
				{Name: "ComputerName", Values: []hivetest.Value{{Name: "ComputerName", Type: 1, Data: text}}},
			}}}}}},
	}}, hivetest.Options{}))
}

func ExampleOpen() {
	file := exampleHive()
	hive, err := registry.Open(context.Background(), file, file.Size(),
		registry.Options{ /* Logs: the transaction logs beside the file */ })
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := hive.Recovery().Err; err != nil {
		fmt.Println("what follows may be out of date:", err)
	}
	key, err := hive.Key(`Select`)
	if err != nil {
		fmt.Println(err)
		return
	}
	values, err := key.Values()
	if err != nil {
		fmt.Println(err) // and go on with the values that could be read
	}
	for _, v := range values {
		data, err := v.Data()
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Printf("%s\\%s %s % x\n", key.Path(), v.Name(), v.Type(), data)
	}
	// Output: Select\Current REG_DWORD 01 00 00 00
}

func ExampleKey_Walk() {
	file := exampleHive()
	hive, err := registry.Open(context.Background(), file, file.Size(), registry.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = hive.Walk(func(k *registry.Key, err error) error {
		if err != nil {
			fmt.Println("not all subkeys:", err)
			return nil
		}
		fmt.Println(k.Path())
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	//
	// ControlSet001
	// ControlSet001\Control
	// ControlSet001\Control\ComputerName
	// ControlSet001\Control\ComputerName\ComputerName
	// Select
}

func ExampleMachine() {
	machine := registry.NewMachine(func(file string) (*registry.Hive, error) {
		if file != "SYSTEM" {
			return nil, fmt.Errorf("%s: %w", file, fs.ErrNotExist)
		}
		system := exampleHive()
		hive, err := registry.Open(context.Background(), system, system.Size(), registry.Options{})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return hive, hive.Recovery().Err // a dirty hive is not to be relied on
	})
	key, err := machine.Key(`HKLM\SYSTEM\CurrentControlSet\Control\ComputerName\ComputerName`)
	if err != nil {
		fmt.Println(err)
		return
	}
	value, err := key.Value("ComputerName")
	if err != nil {
		fmt.Println(err)
		return
	}
	name, err := value.String()
	fmt.Println(name, err)

	set, err := machine.ControlSet()
	fmt.Printf("%s: Select\\%s is %d, %v\n", set.Name, set.Chosen.By, set.Chosen.Number, err)

	_, err = machine.Key(`HKLM\SYSTEM\CurrentControlSet\Services`)
	fmt.Println(errors.Is(err, fs.ErrNotExist), err)
	// Output:
	// WKS-1 <nil>
	// ControlSet001: Select\Current is 1, <nil>
	// true HKLM\SYSTEM\CurrentControlSet\Services: key "ControlSet001\Services": no such key
}
