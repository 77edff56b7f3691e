// Command testreport prints what go test -json says as go test itself would: a line for each package, and everything
// that failing tests wrote. It fails if a test failed, or, where CI=true, was skipped: a test that CI skips tests nothing.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// event is a line of go test -json (go doc test2json).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

func main() {
	failed, skipped, err := report(os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
	}
	noSkips := os.Getenv("CI") == "true" && len(skipped) > 0
	if noSkips {
		fmt.Fprintf(os.Stderr, "skipped where nothing may be: %s\n", strings.Join(skipped, ", "))
	}
	if failed || noSkips || err != nil {
		os.Exit(1)
	}
}

// test names one test; without a name it is the package.
type test struct{ pkg, name string }

// report copies what matters from in to out, and says whether anything failed and what was skipped.
func report(in io.Reader, out io.Writer) (failed bool, skipped []string, err error) {
	wrote := map[test]string{} // by tests that have not ended
	for lines := bufio.NewReader(in); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil && (err != io.EOF || len(line) == 0) {
			return failed, skipped, unlessEOF(err)
		}
		var ev event
		if json.Unmarshal(line, &ev) != nil {
			out.Write(line) // of the go command itself
			continue
		}
		this := test{ev.Package, ev.Test}
		switch ev.Action {
		case "build-output":
			io.WriteString(out, ev.Output)
		case "build-fail":
			failed = true
		case "output":
			switch {
			case ev.Test == "" && ev.Output != "PASS\n":
				io.WriteString(out, ev.Output)
			case ev.Test != "" && !strings.HasPrefix(ev.Output, "=== "):
				wrote[this] += ev.Output
			}
		case "fail":
			failed = true
			for _, t := range ended(wrote, this) {
				io.WriteString(out, wrote[t])
				delete(wrote, t)
			}
		case "skip":
			if ev.Test != "" { // a package without tests is skipped too
				skipped = append(skipped, ev.Package+"."+ev.Test)
			}
			delete(wrote, this)
		case "pass":
			delete(wrote, this)
		}
	}
}

func unlessEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// ended returns the tests that end with this one: with a package, all that it had not ended itself, as in a panic.
func ended(wrote map[test]string, this test) []test {
	if this.name != "" {
		return []test{this}
	}
	var all []test
	for t := range wrote {
		if t.pkg == this.pkg {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b test) int { return strings.Compare(a.name, b.name) })
	return all
}
