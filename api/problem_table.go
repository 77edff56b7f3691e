package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-config/holdfast/audit"
	"github.com/holdfast-config/holdfast/commands"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
)

// errPrecondition: [commands.ErrConflict] where the expectation came from If-Match or If-None-Match.
var errPrecondition = errors.New("precondition failed")

// kind is a kind of problem: what is the same each time.
type kind struct {
	typ        string
	status     int
	title      string
	err        error // the sentinel that is answered with it; nil: only this package makes it
	retryAfter string
}

// kinds is the one table of errors, statuses and problem types. Of two sentinels in one error, the first here counts.
var kinds = []kind{
	{ProblemMalformed, http.StatusBadRequest, "The request is malformed", commands.ErrMalformed, ""},
	{ProblemBadName, http.StatusBadRequest, "A name breaks the rules of names", commands.ErrName, ""},
	{ProblemBadParameter, http.StatusBadRequest, "A parameter or header is not as it should be", nil, ""},
	{ProblemCrossOrigin, http.StatusForbidden, "A browser wrote on behalf of another site", nil, ""},
	{ProblemMayNotReveal, http.StatusForbidden, "The caller may not see sensitive values", nil, ""},
	{ProblemNoRoute, http.StatusNotFound, "There is nothing at this path", nil, ""},
	{ProblemNamespaceNotFound, http.StatusNotFound, "The namespace does not exist", commands.ErrNamespaceNotFound, ""},
	{ProblemNoValue, http.StatusNotFound, "The key has no effective value", nil, ""},
	{ProblemNoDefinition, http.StatusNotFound, "The key has no definition", nil, ""},
	{ProblemUnknownPoint, http.StatusNotFound, "The namespace has no such point in its history", events.ErrUnknownPoint, ""},
	{ProblemNotSealed, http.StatusNotFound, "The log is not sealed, or not so far", audit.ErrNotSealed, ""},
	{ProblemNoReplay, http.StatusNotFound, "There is no replay", nil, ""},
	{ProblemMethod, http.StatusMethodNotAllowed, "The method is not allowed here", nil, ""},
	{ProblemRequestTimeout, http.StatusRequestTimeout, "The request did not arrive in time", nil, ""},
	{ProblemNamespaceExists, http.StatusConflict, "The namespace exists with other attributes", commands.ErrNamespaceExists, ""},
	{ProblemTagInUse, http.StatusConflict, "The tag names another revision", commands.ErrTagInUse, ""},
	{ProblemConflict, http.StatusConflict, "An expectation does not hold", commands.ErrConflict, ""},
	{ProblemPreconditionFailed, http.StatusPreconditionFailed, "The precondition does not hold", errPrecondition, ""},
	{ProblemExpectationMissing, http.StatusPreconditionRequired, "What is expected must be said", nil, ""},
	{ProblemOverLimit, http.StatusRequestEntityTooLarge, "The request is over a limit", commands.ErrLimit, ""},
	{ProblemContentType, http.StatusUnsupportedMediaType, "The body is not declared as application/json", nil, ""},
	{ProblemWrongHost, http.StatusMisdirectedRequest, "The Host is not one of this server", nil, ""},
	{ProblemUnknownKey, http.StatusUnprocessableEntity, "The key is not defined", commands.ErrUnknownKey, ""},
	{ProblemInvalidValue, http.StatusUnprocessableEntity, "A definition forbids the value", commands.ErrInvalidValue, ""},
	{ProblemInvalidDefinition, http.StatusUnprocessableEntity, "The definition can not be", commands.ErrInvalidDefinition, ""},
	{ProblemRequiredKey, http.StatusUnprocessableEntity, "A required key would be missing", commands.ErrRequired, ""},
	{ProblemKeyReused, http.StatusUnprocessableEntity, "The Idempotency-Key was used for another request", eventlog.ErrKeyReused, ""},
	{ProblemBusy, http.StatusTooManyRequests, "Too many change sets are waiting", eventlog.ErrBusy, "1"},
	{ProblemInternal, http.StatusInternalServerError, "Something went wrong here", nil, ""},
	{ProblemOutcomeUnknown, http.StatusGatewayTimeout, "Whether the write took effect is unknown", eventlog.ErrUnknown, ""},
	{ProblemUnavailable, http.StatusServiceUnavailable, "The store can not be reached", eventlog.ErrUnavailable, "2"},
	{ProblemTooManyWatches, http.StatusServiceUnavailable, "This process has as many watches as it takes", nil, "10"},
	{ProblemNotReached, http.StatusGatewayTimeout, "The position was not reached in time", nil, ""},
}

// newProblem returns a problem of the kind that typ names.
func newProblem(typ, detail string) *Problem {
	for _, k := range kinds {
		if k.typ == typ {
			return &Problem{Type: k.typ, Title: k.title, Status: k.status, Detail: detail, retryAfter: k.retryAfter}
		}
	}
	panic("problem type without a kind: " + typ)
}

// kindOf returns the type of problem that err is answered with.
func kindOf(err error) (typ string, ok bool) {
	for _, k := range kinds {
		if k.err != nil && errors.Is(err, k.err) {
			return k.typ, true
		}
	}
	return ProblemInternal, false
}

// problemOf returns the problem that err is answered as. What the table does not have is an internal error with a fixed
// text. Only errors that are written for the poster are shown; the others stay in cause.
func problemOf(err error) *Problem {
	var made *Problem
	var refused *commands.Refused
	var name *events.NameError
	var point *events.PointError
	switch {
	case errors.As(err, &made):
		return made
	case errors.Is(err, errPrecondition) && errors.As(err, &refused):
		return refusal(ProblemPreconditionFailed, refused)
	case errors.As(err, &refused):
		typ, _ := kindOf(refused.Problems[0].Err)
		return refusal(typ, refused)
	case errors.As(err, &point):
		return newProblem(ProblemUnknownPoint, point.Error())
	case errors.As(err, &name):
		p := newProblem(ProblemBadName, name.Error())
		p.Errors = []ProblemError{{Type: ProblemBadName, Parameter: "path." + name.What, Detail: name.Error()}}
		return p
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err) // nobody waits any more, or the log did not answer in time
	}
	typ, ok := kindOf(err)
	p := newProblem(typ, "the cause is in the server's log, under this request's "+HeaderRequestID)
	if ok {
		p.Detail = sentinelText(typ)
	}
	p.cause = err
	return p
}

func sentinelText(typ string) string {
	for _, k := range kinds {
		if k.typ == typ {
			return k.err.Error()
		}
	}
	return ""
}

// refusal lists every problem of a refused change set, each with a pointer to its place in the body.
func refusal(typ string, refused *commands.Refused) *Problem {
	first := commands.Refused{Namespace: refused.Namespace, Problems: refused.Problems[:1]}
	p := newProblem(typ, first.Error())
	if more := len(refused.Problems) - 1; more > 0 {
		p.Detail += fmt.Sprintf("; and %d more, see errors", more)
	}
	for _, one := range refused.Problems {
		t, _ := kindOf(one.Err)
		e := ProblemError{Type: t, Pointer: one.Pointer(), Detail: one.Detail, Key: one.Key, Suggestion: one.Suggestion}
		for _, v := range one.Violations {
			e.Violations = append(e.Violations, Violation(v))
		}
		p.Errors = append(p.Errors, e)
	}
	return p
}

// fromHuma is huma's hook for the errors that it makes by itself: parameters that do not parse or validate, and bodies
// that can not be read. It repeats none of the offending input.
func fromHuma(status int, msg string, errs ...error) huma.StatusError {
	switch status {
	case 0: // an example, to document errors by
		return &Problem{}
	case http.StatusUnprocessableEntity:
		p := newProblem(ProblemBadParameter, msg)
		for _, err := range errs {
			if d, ok := err.(*huma.ErrorDetail); ok {
				p.Detail = d.Location + ": " + d.Message
				p.Errors = append(p.Errors, ProblemError{Type: ProblemBadParameter, Parameter: d.Location, Detail: d.Message})
			}
		}
		return p
	case http.StatusRequestEntityTooLarge:
		return newProblem(ProblemOverLimit, fmt.Sprintf("the body is more than %d bytes", events.MaxChangeSetBytes))
	case http.StatusRequestTimeout:
		return newProblem(ProblemRequestTimeout, "the body did not arrive in time")
	default: // the body is missing (400) or broke off (500): handlers make all other errors themselves
		return newProblem(ProblemMalformed, "the body is empty or could not be read to its end")
	}
}
