// descriptors compares our declarations in proto/ with the ones that the
// projects behind the protocols publish as Go modules.
//
//	descriptors [-proto DIR] [-ahead FILE]
//
// Every message, field, enum value and method of ours has to be there under
// the same name with the same number, type, label, oneof and streaming. That
// we declare only a part is no fault. Before it compares, the program spoils
// copies of the declarations on purpose and makes sure that it would notice.
// It needs protoc in the path.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

func main() {
	dir := flag.String("proto", "../../../proto", "folder of our declarations")
	list := flag.String("ahead", "ahead.txt", "declarations newer than the published modules")
	flag.Parse()

	ours, err := compileFiles(*dir)
	check(err)
	files, err := publishedFiles()
	check(err)
	ahead, err := readAhead(*list)
	check(err)

	published := buildCatalog(files)
	check(selftest(ours, published, ahead))

	names := buildCatalog(ours)
	report := compare(names, published, ahead)
	for _, line := range report {
		fmt.Println(line)
	}
	if len(report) > 0 {
		fmt.Printf("%d of %d declarations differ\n", len(report), len(names))
		os.Exit(1)
	}
	fmt.Printf("%d declarations equal the published ones; %d alterations were noticed\n",
		len(names), len(alterations)+1)
}

// compileFiles lets protoc read the folder.
func compileFiles(dir string) ([]*descriptorpb.FileDescriptorProto, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.proto"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no .proto files in %s", dir)
	}
	out, err := os.CreateTemp("", "descriptors-*.pb")
	if err != nil {
		return nil, err
	}
	out.Close()
	defer os.Remove(out.Name())

	args := append([]string{"-I" + dir, "--descriptor_set_out=" + out.Name()}, paths...)
	if text, err := exec.Command("protoc", args...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("protoc: %w: %s", err, strings.TrimSpace(string(text)))
	}
	raw, err := os.ReadFile(out.Name())
	if err != nil {
		return nil, err
	}
	set := new(descriptorpb.FileDescriptorSet)
	if err := proto.Unmarshal(raw, set); err != nil {
		return nil, err
	}
	return set.File, nil
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "descriptors:", err)
		os.Exit(1)
	}
}
