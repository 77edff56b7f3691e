package commands

import (
	"errors"

	"github.com/holdfast-config/holdfast/events"
)

// Why a command is refused: what callers branch on.
var (
	ErrMalformed         = errors.New("malformed")           // not of the form of a change set
	ErrName              = errors.New("bad name")            // a namespace or key that breaks the rules of names
	ErrLimit             = errors.New("over a limit")        // too large, too many
	ErrNamespaceNotFound = errors.New("namespace not found") //
	ErrNamespaceExists   = errors.New("namespace exists")    // create, with other attributes
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
	Err        error      // one of the sentinels above
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
