package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"
	"github.com/spf13/cobra"

	"github.com/holdfast-config/holdfast/events"
)

// cli is one run of the command line: its streams, its environment, and the flags that all commands have.
type cli struct {
	env    func(string) string
	in     io.Reader
	out    io.Writer // data
	notice io.Writer // everything else

	apiURL        string
	databaseURL   string
	redisURL      string
	output        string
	actor         string
	reason        string
	timeout       time.Duration
	showSensitive bool

	begun bool // the arguments were understood and the command has started
}

var outputs = []string{"table", "json", "yaml", "jsonl"}

// run runs one command line until it is done or ctx ends, and returns the exit code.
func run(ctx context.Context, args []string, env func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &cli{env: env, in: stdin, out: stdout, notice: stderr}
	root := c.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !c.begun {
		err = usageError{plainUsage(cmd, err)}
	}
	if err == nil {
		return exitOK
	}
	if text := explain(err); text != "" {
		fmt.Fprintln(stderr, text)
	}
	if errors.As(err, &usageError{}) {
		fmt.Fprintf(stderr, "See: %s --help\n", cmd.CommandPath())
	}
	return exitCode(err)
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "holdfast",
		Short: "Change configuration without a deploy, and prove who changed what and why",
		Long: `Holdfast keeps the configuration of services: typed, inherited, with every change on record.

A setting is addressed as NAMESPACE/KEY, such as postgres.main/work_mem. Data goes to standard output, all else to
standard error. Beside the folder .holdfast of a running "holdfast dev", the api and Redis are found by themselves.

Exit codes: 0 ok, 1 error, 2 usage, 3 not found, 5 conflict, 6 refused by validation, 7 unreachable, 10 differs.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          unknownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	flags := root.PersistentFlags()
	flags.StringVar(&c.apiURL, "api", "", "address of the api (HOLDFAST_API; default that of a running dev, else "+defaultAPI+")")
	flags.StringVar(&c.redisURL, "redis", "", "URL of the Redis that watch and replay --check read (HOLDFAST_REDIS; default that of a running dev, else "+defaultRedis+")")
	flags.StringVarP(&c.output, "output", "o", "table", "form of the data: "+strings.Join(outputs, ", "))
	flags.StringVar(&c.actor, "actor", "", "who makes the change (HOLDFAST_ACTOR; default the user of this machine)")
	flags.StringVar(&c.reason, "reason", "", "why the change is made")
	flags.DurationVar(&c.timeout, "timeout", 15*time.Second, "how long to try each request, retries included")
	flags.BoolVar(&c.showSensitive, "show-sensitive", false, "show sensitive values rather than "+mask)
	root.AddCommand(c.devCommand(), c.createCommand(), c.defineCommand(), c.setCommand(), c.unsetCommand(), c.removeCommand(),
		c.getCommand(), c.listCommand(), c.watchCommand(), c.instancesCommand(), c.importCommand(), c.exportCommand(), c.applyCommand(),
		c.historyCommand(), c.diffCommand(), c.tagCommand(), c.untagCommand(), c.tagsCommand(),
		c.restoreCommand(), c.promoteCommand(), c.replayCommand(),
		c.auditCommand(), c.migrateCommand(), c.epochCommand(), c.readyCommand(), c.versionCommand())
	c.markBegun(root)
	return root
}

// unknownCommand refuses what is no command, and says which one may be meant.
func unknownCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	edits := func(cmd *cobra.Command) int { return levenshtein.ComputeDistance(args[0], cmd.Name()) }
	near := slices.MinFunc(root.Commands(), func(a, b *cobra.Command) int { return edits(a) - edits(b) })
	if edits(near) <= 2 {
		return fmt.Errorf("unknown command %q; did you mean %q?", args[0], near.Name())
	}
	return fmt.Errorf("unknown command %q", args[0])
}

// plainUsage says which flags a command needs as [takes] says which arguments; cobra's own text is: required flag(s) "to" not set.
func plainUsage(cmd *cobra.Command, err error) error {
	names, found := strings.CutPrefix(err.Error(), "required flag(s) ")
	if !found {
		return err
	}
	names = strings.ReplaceAll(strings.TrimSuffix(names, " not set"), `"`, "")
	return fmt.Errorf("%s needs --%s", cmd.Name(), strings.ReplaceAll(names, ", ", " and --"))
}

// takes checks how many arguments there are, and says which ones the command takes. Fewer than 0 at most: any number.
func takes(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		_, what, _ := strings.Cut(cmd.Use, " ")
		switch n := len(args); {
		case n < least:
			return fmt.Errorf("%s needs %s", cmd.Name(), what)
		case most == 0 && n > 0:
			return fmt.Errorf("%s takes no arguments, got %d", cmd.Name(), n)
		case most >= 0 && n > most:
			return fmt.Errorf("%s takes %s, got %s", cmd.Name(), what, count(n, "argument"))
		}
		return nil
	}
}

// markBegun makes errors from a command itself, or one below it, different from those about its arguments, which cobra gives
// no type.
func (c *cli) markBegun(cmd *cobra.Command) {
	for _, below := range cmd.Commands() {
		c.markBegun(below)
	}
	body := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains(outputs, c.output) {
			return usageError{fmt.Errorf("unknown output %q; it is one of %s", c.output, strings.Join(outputs, ", "))}
		}
		if c.timeout <= 0 {
			return usageError{fmt.Errorf("--timeout must be more than 0, is %s", c.timeout)}
		}
		c.begun = true
		return body(cmd, args)
	}
}

// who is the actor of changes.
func (c *cli) who() string {
	if actor := firstOf(c.actor, c.env("HOLDFAST_ACTOR")); actor != "" {
		return actor
	}
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return firstOf(c.env("USER"), "unknown")
}

func (c *cli) note(format string, args ...any) { fmt.Fprintf(c.notice, format+"\n", args...) }

func firstOf(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

// address is a setting as the command line names it: NAMESPACE/KEY.
type address struct {
	ns  events.Namespace
	key events.Key
}

func (a address) String() string { return string(a.ns) + "/" + string(a.key) }

func parseAddress(text string) (address, error) {
	name, keyName, found := strings.Cut(text, "/")
	if !found {
		return address{}, usageError{fmt.Errorf("%q is not of the form NAMESPACE/KEY", text)}
	}
	ns, err := parseNamespace(name)
	if err != nil {
		return address{}, err
	}
	key, err := events.ParseKey(keyName)
	if err != nil {
		return address{}, usageError{err}
	}
	return address{ns, key}, nil
}

func parseNamespace(text string) (events.Namespace, error) {
	ns, err := events.ParseNamespace(text)
	if err != nil {
		return "", usageError{err}
	}
	return ns, nil
}

// parseAddresses takes settings of one namespace; all but the first may leave the namespace out.
func parseAddresses(texts []string) ([]address, error) {
	var list []address
	for _, text := range texts {
		if len(list) > 0 && !strings.Contains(text, "/") {
			text = string(list[0].ns) + "/" + text
		}
		a, err := parseAddress(text)
		if err != nil {
			return nil, err
		}
		if len(list) > 0 && a.ns != list[0].ns {
			return nil, usageError{fmt.Errorf("%s and %s are of different namespaces; a change set is of one", list[0], a)}
		}
		if slices.Contains(list, a) {
			return nil, usageError{fmt.Errorf("%s is given twice", a)}
		}
		list = append(list, a)
	}
	return list, nil
}
