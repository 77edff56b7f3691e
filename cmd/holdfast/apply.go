package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/commands"
	"github.com/holdfast-config/holdfast/events"
)

func (c *cli) applyCommand() *cobra.Command {
	var file string
	var again bool
	cmd := &cobra.Command{
		Use:   "apply NAMESPACE -f CHANGES.jsonl",
		Short: "Post a file of change sets, one a line",
		Long: `Apply posts the lines of a file in order, each as one change set, and stops at the first that is refused. A line is

  {"reason": …, "expect": {"revision": …}, "commands": [{"do": "set", "key": …, "value": …}, …], "actor": …}

or, shorter, what was set and unset by some commit:

  {"at": …, "commit": …, "set": {KEY: VALUE, …}, "unset": [KEY, …]}

Running it again goes on where it stopped: a line that was applied before, by the same actor, with the same lines before
it in a file of the same name, is not applied twice (for 7 days at least). --again applies every line anew.`,
		Example: "  holdfast create redis --open\n  holdfast apply redis -f examples/redis-conf.jsonl",
		Args:    takes(1, 1),
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "file to read; - is standard input")
	cmd.Flags().BoolVar(&again, "again", false, "apply lines that were applied before, too")
	if err := cmd.MarkFlagRequired("file"); err != nil {
		panic(err) // the flag stands above
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ns, err := parseNamespace(args[0])
		if err != nil {
			return err
		}
		in := c.in
		if file != "-" {
			f, err := os.Open(file)
			if err != nil {
				return err
			}
			defer f.Close()
			in = f
		}
		a := &applying{cli: c, ns: ns, salt: filepath.Base(file)}
		if again {
			a.salt = freshKey()
		}
		return a.run(cmd.Context(), in)
	}
	return cmd
}

// applying is a file of change sets on its way.
type applying struct {
	*cli
	ns   events.Namespace
	salt string
}

// line is a change set of the file and the idempotency key that it has in every run.
type line struct {
	number int
	cs     commands.ChangeSet
	key    string
}

func (a *applying) run(ctx context.Context, in io.Reader) error {
	lines, err := a.read(in)
	if err != nil {
		return err
	}
	cl, err := a.newClient()
	if err != nil {
		return err
	}
	bar := a.progress(len(lines), "change sets")
	defer bar.Close()
	var done []api.Written
	for _, l := range lines {
		written, err := cl.post(ctx, l.cs, l.key)
		if err != nil {
			return errors.Join(a.printDone(done), fmt.Errorf("line %d: %w", l.number, err))
		}
		done = append(done, written)
		_ = bar.Add(1) // that the bar can not be drawn is no reason to stop
	}
	return a.printDone(done)
}

func (a *applying) printDone(done []api.Written) error {
	return printAll(a.cli, done, func(w io.Writer) {
		if len(done) == 0 {
			fmt.Fprintf(w, "%s: nothing applied\n", a.ns)
			return
		}
		before := 0
		var last api.Written
		for _, last = range done {
			if last.Replayed {
				before++
			}
		}
		fmt.Fprintf(w, "%s: %s applied, %d of them before  revision %d  position %d\n",
			a.ns, count(len(done), "change set"), before, last.Revision, last.Position)
	})
}

// read reads all lines before the first is posted, so that a line that makes no sense stops nothing halfway.
func (a *applying) read(in io.Reader) ([]line, error) {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, 2*events.MaxChangeSetBytes)
	history := sha256.New()
	fmt.Fprintf(history, "%s\n%s\n%s\n", a.ns, a.who(), a.salt)
	var lines []line
	number := 0
	for scanner.Scan() {
		number++
		text := bytes.TrimSpace(scanner.Bytes())
		if len(text) == 0 {
			continue
		}
		fmt.Fprintf(history, "%s\n", text)
		cs, err := a.parse(text)
		if err != nil {
			return nil, invalidError{fmt.Errorf("line %d: %w", number, err)}
		}
		lines = append(lines, line{number, cs, hex.EncodeToString(history.Sum(nil))})
	}
	switch err := scanner.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, invalidError{fmt.Errorf("line %d: is longer than a change set may be, %d bytes", number+1, events.MaxChangeSetBytes)}
	case err != nil:
		return nil, err
	}
	return lines, nil
}

// change is a line of the file, in either form.
type change struct {
	Reason   string          `json:"reason,omitempty"`
	Expect   commands.Expect `json:"expect,omitzero"`
	Commands json.RawMessage `json:"commands,omitempty"`
	Actor    string          `json:"actor,omitempty"`

	At     string                      `json:"at,omitempty"`
	Commit string                      `json:"commit,omitempty"`
	Set    map[events.Key]events.Value `json:"set,omitempty"`
	Unset  []events.Key                `json:"unset,omitempty"`
}

func (a *applying) parse(text []byte) (commands.ChangeSet, error) {
	if json.Valid(text) { // else the decoder says what is wrong
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.UseNumber()
		if err := noneTwice(dec, ""); err != nil {
			return commands.ChangeSet{}, err
		}
	}
	var ch change
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&ch); err != nil {
		if form := new(json.UnmarshalTypeError); errors.As(err, &form) {
			what := "it"
			if form.Field != "" {
				what = strconv.Quote(form.Field)
			}
			err = fmt.Errorf("%s can not be a JSON %s", what, form.Value)
		} else if errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("it ends too early")
		}
		return commands.ChangeSet{}, fmt.Errorf("is not a change set: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if dec.More() {
		return commands.ChangeSet{}, errors.New("goes on after the change set; write one a line")
	}
	for _, key := range ch.Unset {
		if _, both := ch.Set[key]; both {
			return commands.ChangeSet{}, fmt.Errorf("has %q in set and in unset", key)
		}
	}
	actor, reason := firstOf(ch.Actor, a.who()), firstOf(ch.Reason, a.reason)
	var body []byte
	var err error
	switch {
	case ch.Commands == nil:
		body, err = json.Marshal(commands.ChangeSet{Reason: firstOf(reason, ch.origin()), Expect: ch.Expect, Commands: ch.commands()})
	case ch.Set != nil || ch.Unset != nil:
		err = errors.New("has commands, and set or unset; write one or the other")
	default:
		body, err = json.Marshal(change{Reason: reason, Expect: ch.Expect, Commands: ch.Commands})
	}
	if err != nil {
		return commands.ChangeSet{}, err
	}
	return commands.Parse(a.ns, actor, body)
}

// noneTwice refuses JSON in which an object has a member twice: encoding/json would take the last in silence. The path says
// where in the line it is.
func noneTwice(dec *json.Decoder, path string) error {
	open, err := dec.Token()
	if err != nil || open != json.Delim('{') && open != json.Delim('[') {
		return err
	}
	seen := map[string]bool{}
	for i := 0; dec.More(); i++ {
		name := strconv.Itoa(i)
		if open == json.Delim('{') {
			token, err := dec.Token()
			if err != nil {
				return err
			}
			name, _ = token.(string)
			same := name
			if path == "" || path == "expect." { // of a struct's fields, the decoder takes any case
				same = strings.ToLower(name)
			}
			if seen[same] {
				return errors.New(strings.TrimSpace(fmt.Sprintf("%s has %q twice", strings.TrimSuffix(path, "."), clip(name))))
			}
			seen[same] = true
		}
		if err := noneTwice(dec, path+name+"."); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return err
}

// origin tells where a line of the short form comes from.
func (ch *change) origin() string {
	var parts []string
	if ch.Commit != "" {
		parts = append(parts, "commit "+ch.Commit)
	}
	if ch.At != "" {
		parts = append(parts, "of "+ch.At)
	}
	return strings.Join(parts, " ")
}

func (ch *change) commands() []commands.Command {
	var cmds []commands.Command
	for _, key := range ch.Unset {
		cmds = append(cmds, commands.Unset{Key: key})
	}
	for _, key := range slices.Sorted(maps.Keys(ch.Set)) {
		cmds = append(cmds, commands.Set{Key: key, Value: ch.Set[key]})
	}
	return cmds
}
