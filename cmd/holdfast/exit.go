package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/commands"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/document"
)

// The exit codes, which scripts rely on.
const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitConflict    = 5
	exitRefused     = 6
	exitUnreachable = 7
	exitDiffers     = 10
)

// usageError is a command line that can not be understood.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// invalidError is input that is refused before it is sent.
type invalidError struct{ error }

func (e invalidError) Unwrap() error { return e.error }

// notFoundError is something that is not there.
type notFoundError struct{ error }

func (e notFoundError) Unwrap() error { return e.error }

// unreachableError is a server that did not answer.
type unreachableError struct{ error }

func (e unreachableError) Unwrap() error { return e.error }

func exitCode(err error) int {
	var problem *api.Problem
	var refused *commands.Refused
	switch {
	case errors.As(err, &problem):
		return problemCode(problem)
	case errors.As(err, &refused):
		if errors.Is(err, commands.ErrConflict) {
			return exitConflict
		}
		return exitRefused
	case errors.Is(err, errDiffers):
		return exitDiffers
	case errors.As(err, &usageError{}):
		return exitUsage
	case errors.As(err, &notFoundError{}):
		return exitNotFound
	case errors.As(err, &unreachableError{}):
		return exitUnreachable
	case errors.As(err, &invalidError{}), errors.As(err, new(*document.Error)):
		return exitRefused
	}
	return exitError
}

func problemCode(p *api.Problem) int {
	switch p.Status {
	case http.StatusNotFound:
		return exitNotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return exitConflict
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		if p.Type == api.ProblemKeyReused {
			return exitConflict
		}
		return exitRefused
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return exitUnreachable
	}
	return exitError
}

// explain is err as people read it, one thing that is wrong a line.
func explain(err error) string {
	if errors.Is(err, context.Canceled) {
		return "interrupted"
	}
	if errors.Is(err, errDiffers) {
		return ""
	}
	if problem := new(api.Problem); errors.As(err, &problem) && problem.Type == api.ProblemNamespaceNotFound && len(problem.Errors) == 0 {
		return err.Error() + "; see: holdfast list"
	}
	return err.Error()
}

// refusal is a problem that the api answered to a change set, told with the settings it is about.
type refusal struct {
	ns events.Namespace
	*api.Problem
}

func (r *refusal) Unwrap() error { return r.Problem }

func (r *refusal) Error() string {
	word := map[int]string{exitRefused: "refused: ", exitConflict: "conflict: "}[problemCode(r.Problem)]
	if len(r.Errors) == 0 {
		return word + r.Problem.Error()
	}
	var lines []string
	for _, e := range r.Errors {
		at := string(r.ns)
		if e.Key != "" && e.Type != api.ProblemUnknownKey { // that one names the key itself
			at = address{r.ns, e.Key}.String()
		}
		lines = append(lines, word+at+": "+e.Detail)
		for _, v := range e.Violations {
			at := address{v.Namespace, v.Key}.String()
			if !strings.Contains(e.Detail, at+" "+v.Detail) { // the text has the first few
				lines = append(lines, fmt.Sprintf("  %s: %s", at, v.Detail))
			}
		}
	}
	return strings.Join(lines, "\n")
}
