package commands

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-config/holdfast/events"
)

// Why a command is refused: what callers branch on.
var (
	ErrMalformed         = errors.New("malformed")           // not of the form of a change set
	ErrName              = errors.New("bad name")            // a namespace or key that breaks the rules of names
	ErrLimit             = errors.New("over a limit")        // too large, too many
	ErrNamespaceNotFound = errors.New("namespace not found") //
	ErrNamespaceExists   = errors.New("namespace exists")    // create, with other attributes
	ErrTagInUse          = errors.New("tag in use")          // it names another revision
	ErrUnknownKey        = errors.New("unknown key")         // Problem.Suggestion has the nearest known name
	ErrInvalidValue      = errors.New("invalid value")       // a definition here or below forbids it
	ErrInvalidDefinition = errors.New("invalid definition")  // makes no sense, or present values violate it
	ErrRequired          = errors.New("required key")        // missing, or removed while another requires it
	ErrConflict          = errors.New("conflict")            // an expectation no longer holds
)

// Refused says why a change set was not accepted. Nothing of it took effect. errors.Is finds the reason of each problem.
type Refused struct {
	Namespace events.Namespace
	Problems  []Problem // at least one, in the order of the commands
}

// Problem is one reason of a refusal.
type Problem struct {
	Command    int        // index of the offending command; -1: the change set as a whole
	Field      string     // member of the command or change set that is wrong: "value", "expect.revision"; may be empty
	Do         string     // the command's name; empty for the change set
	Key        events.Key // may be empty
	Err        error      // one of the sentinels above, or events.ErrUnknownPoint
	Detail     string     // what is wrong and what to do, without any value
	Suggestion events.Key // the known key that was perhaps meant; may be empty
	Violations []Violation
}

// Violation is a present value, or a requirement, that a change would break.
type Violation struct {
	Namespace events.Namespace
	Key       events.Key
	Detail    string
}

// Error tells every problem: `set payments.prod/db.max_conns: expected revision 4, is 6`.
func (r *Refused) Error() string {
	texts := make([]string, len(r.Problems))
	for i, p := range r.Problems {
		texts[i] = p.text(r.Namespace)
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns the reasons, so that errors.Is finds them.
func (r *Refused) Unwrap() []error {
	reasons := make([]error, len(r.Problems))
	for i, p := range r.Problems {
		reasons[i] = p.Err
	}
	return reasons
}

// Pointer returns the JSON pointer (RFC 6901) of what is wrong in the change set as posted: "/commands/3/value". It is
// empty for the change set itself.
func (p Problem) Pointer() string {
	pointer := ""
	if p.Command >= 0 {
		pointer = fmt.Sprintf("/commands/%d", p.Command)
	}
	if p.Field != "" {
		pointer += "/" + strings.ReplaceAll(p.Field, ".", "/")
	}
	return pointer
}

func (p Problem) text(ns events.Namespace) string {
	about := string(ns)
	if p.Key != "" {
		about += "/" + string(p.Key)
	}
	if p.Do != "" {
		about = p.Do + " " + about
	}
	return about + ": " + p.Detail
}

const maxProblems = 20 // told of one change set, and violations told of one problem

// problems collects what is wrong with a change set.
type problems struct {
	list []Problem
	more int // that are not in the list
}

func (p *problems) add(problem Problem) {
	if len(p.list) == maxProblems {
		p.more++
		return
	}
	p.list = append(p.list, problem)
}

// refused returns the refusal, nil if there is no problem.
func (p *problems) refused(ns events.Namespace) error {
	if len(p.list) == 0 {
		return nil
	}
	slices.SortStableFunc(p.list, func(a, b Problem) int { return cmp.Compare(a.Command, b.Command) })
	if p.more > 0 {
		p.list = append(p.list, Problem{Command: -1, Err: p.list[0].Err, Detail: fmt.Sprintf("and %d more problems", p.more)})
	}
	return &Refused{Namespace: ns, Problems: p.list}
}
