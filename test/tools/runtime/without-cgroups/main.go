// Runs crun, the OCI runtime, without control groups: those are the whole machine's, and a test that is killed
// would leave its own behind. Debian's crun knows version 1.0 of the runtime specification only; what containerd
// writes is newer by name, so the name is changed.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
)

func main() {
	fmt.Fprintln(os.Stderr, run())
	os.Exit(1)
}

func run() error {
	if at := slices.Index(os.Args, "--bundle"); at >= 0 && at+1 < len(os.Args) {
		if err := rename(filepath.Join(os.Args[at+1], "config.json")); err != nil {
			return err
		}
	}
	path, err := exec.LookPath("crun")
	if err != nil {
		return err
	}
	return syscall.Exec(path, append([]string{"crun", "--cgroup-manager=disabled"}, os.Args[1:]...), os.Environ())
}

func rename(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var spec map[string]json.RawMessage
	if err := json.Unmarshal(text, &spec); err != nil {
		return err
	}
	spec["ociVersion"] = json.RawMessage(`"1.0.0"`)
	changed, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	return os.WriteFile(path, changed, 0o600)
}
