package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/holdfast-config/holdfast/audit"
	"github.com/holdfast-config/holdfast/events"
)

func (c *cli) auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Prove that the log was not rewritten, and step through what was in force",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.auditVerifyCommand(), c.auditReplayCommand(), c.auditKeygenCommand())
	return cmd
}

func (c *cli) auditKeygenCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "keygen FILE",
		Short: "Make a key that seals the log",
		Long: `Keygen writes a new key into a file that is not there yet, for the projector's --seal-key, and prints the public part, by which
auditors check what the key signs. Who has the file can seal any history: keep it from those who have the database.`,
		Example: "  holdfast audit keygen seal.key --name config.example.com",
		Args:    takes(1, 1),
	}
	cmd.Flags().StringVar(&name, "name", "holdfast", "origin that checkpoints name, to tell logs apart; without spaces and pluses")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		public, err := makeKey(args[0], name)
		if err != nil {
			return err
		}
		c.note("the key is in %s; auditors get:", args[0])
		_, err = fmt.Fprintln(c.out, public)
		return err
	}
	return cmd
}

// makeKey writes a new key into a file, for its owner's eyes only, and returns its public part. A file that is there stays
// (fs.ErrExist).
func makeKey(file, name string) (public string, err error) {
	text, err := audit.GenerateKey(name)
	if err != nil {
		return "", usageError{err}
	}
	key, err := audit.ParseKey(text)
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	_, err = fmt.Fprintln(f, text)
	return key.Verifier(), errors.Join(err, f.Close())
}

// verify is one run of "audit verify".
type verify struct {
	*cli
	key, file, save string
	since           []string
}

func (c *cli) auditVerifyCommand() *cobra.Command {
	v := &verify{cli: c}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check the whole log against its signed checkpoint, and those kept from earlier",
		Long: `Verify reads every event, from the api or from an export, computes the tree of hashes anew, and compares its root with the signed
checkpoint and with each that was kept. It trusts the key given, else that of the newest checkpoint that was kept.

Without either it believes the checkpoint that comes with the log, and shows only that the two fit. So keep checkpoints:
--save writes the newest one, where whoever owns the database can not change it, and --since compares with it later.

If the log is not the one that was signed, the exit code is 1, and the first wrong position is named, or the smallest range
that can be told.`,
		Example: `  holdfast audit verify --save checkpoint            the first time
  holdfast audit verify --since checkpoint --save checkpoint
  curl -fN http://127.0.0.1:8080/v1/log/events > log.ndjson; holdfast audit verify --file log.ndjson --since checkpoint`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return v.run(cmd) },
	}
	cmd.Flags().StringVar(&v.key, "key", "", "public key that must have signed, or a file with it")
	cmd.Flags().StringArrayVar(&v.since, "since", nil, "`file` of a checkpoint that was kept; may be given several times")
	cmd.Flags().StringVar(&v.save, "save", "", "`file` to write the checkpoint to, once the log has passed")
	cmd.Flags().StringVar(&v.file, "file", "", "`file` of an export to read instead of the api")
	return cmd
}

func (v *verify) run(cmd *cobra.Command) error {
	trust, err := v.trust()
	if err != nil {
		return err
	}
	var source audit.Source = export{v.file}
	if v.file == "" {
		if source, err = v.newClient(); err != nil {
			return err
		}
	}
	bar := progressbar.DefaultSilent(0)
	result, err := audit.Verify(cmd.Context(), source, trust, func(done, total int64) {
		if bar.GetMax64() != total {
			bar = v.progress(int(total), "verifying")
		}
		bar.Set64(done)
	})
	bar.Finish()
	if err != nil {
		return err
	}
	if v.save != "" {
		if err := replaceFile(v.save, result.Signed); err != nil {
			return err
		}
	}
	return v.tell(trust, result)
}

// trust reads what the verification starts from.
func (v *verify) trust() (audit.Trust, error) {
	trust := audit.Trust{Key: v.key}
	if data, err := os.ReadFile(v.key); err == nil {
		trust.Key = strings.TrimSpace(string(data))
	}
	for _, file := range v.since {
		data, err := os.ReadFile(file)
		if err != nil {
			return trust, err
		}
		kept, err := audit.OpenCheckpoint(string(data), "")
		if err != nil {
			return trust, fmt.Errorf("%s: %w", file, err)
		}
		trust.Since = append(trust.Since, kept)
	}
	return trust, nil
}

// verified is the result as it is printed.
type verified struct {
	Events events.Position `json:"events"`
	Root   audit.Hash      `json:"root"`
	Epoch  string          `json:"epoch"`
	Key    string          `json:"key"`
	Since  []int64         `json:"since,omitempty"` // sizes of the kept checkpoints that the log extends
	Masked int64           `json:"masked,omitempty"`
	Epochs []string        `json:"epochs,omitempty"`
}

func (v *verify) tell(trust audit.Trust, r audit.Verified) error {
	out := verified{Events: events.Position(r.N), Root: r.Hash, Epoch: r.Epoch, Key: r.Key, Masked: r.Masked}
	for _, kept := range trust.Since {
		out.Since = append(out.Since, kept.N)
	}
	for _, e := range r.Epochs {
		out.Epochs = append(out.Epochs, e.String())
	}
	if trust.Key == "" && len(trust.Since) == 0 {
		v.note("The key was taken from the log itself: this shows that the log fits its checkpoint, and not that nobody rewrote both.\n" +
			"Keep a checkpoint (--save FILE), and compare with it from now on (--since FILE).")
	}
	return v.print(out, func(w io.Writer) {
		fmt.Fprintf(w, "verified %s: root %s, signed by %s\n", count(int(r.N), "event"), r.Hash, r.Key)
		for _, n := range out.Since {
			fmt.Fprintf(w, "the log extends the checkpoint of %s\n", count(int(n), "event"))
		}
		if r.Masked > 0 {
			fmt.Fprintf(w, "%s shown without data, and proved but for that\n", count(int(r.Masked), "event"))
		}
		for _, e := range out.Epochs {
			fmt.Fprintln(w, quotable(e))
		}
	})
}

// replaceFile writes a file anew, whole or not at all.
func replaceFile(name, text string) error {
	draft := name + ".new"
	if err := os.WriteFile(draft, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(draft, name)
}
