package api

import (
	"net/http"

	"github.com/holdfast-config/holdfast/events"
)

// Problem is an error as it is answered: RFC 9457 problem details, application/problem+json.
type Problem struct {
	Type     string          `json:"type" format:"uri" doc:"Stable name of the kind of problem"`
	Title    string          `json:"title"`
	Status   int             `json:"status"`
	Detail   string          `json:"detail,omitempty" doc:"What is wrong here and what to do; never a value"`
	Position events.Position `json:"position,omitempty" doc:"How far the log got, where a position was not reached"`
	Errors   []ProblemError  `json:"errors,omitempty" doc:"Each thing that is wrong"`

	retryAfter string // seconds; header Retry-After
	cause      error  // for our log, never answered
}

// ProblemError is one thing that is wrong with a request.
type ProblemError struct {
	Type       string      `json:"type,omitempty" format:"uri"`
	Pointer    string      `json:"pointer,omitempty" doc:"JSON pointer into the body"`
	Parameter  string      `json:"parameter,omitempty" doc:"Path, query or header parameter, such as query.limit"`
	Detail     string      `json:"detail"`
	Key        events.Key  `json:"key,omitempty"`
	Suggestion events.Key  `json:"suggestion,omitempty" doc:"The known key that was perhaps meant"`
	Violations []Violation `json:"violations,omitempty" doc:"Present values or requirements that the change would break"`
}

// Violation is a present value, or a requirement, that a change would break.
type Violation struct {
	Namespace events.Namespace `json:"namespace"`
	Key       events.Key       `json:"key"`
	Detail    string           `json:"detail"`
}

// Error makes a problem that was received an error in the client's code.
func (p *Problem) Error() string {
	if p.Detail == "" {
		return p.Title
	}
	return p.Detail
}

// GetStatus, GetHeaders and ContentType are what huma asks of an error that is answered.
func (p *Problem) GetStatus() int { return p.Status }

func (p *Problem) GetHeaders() http.Header {
	if p.retryAfter == "" {
		return nil
	}
	return http.Header{"Retry-After": {p.retryAfter}}
}

func (p *Problem) ContentType(string) string { return "application/problem+json" }

// The types of problems.
const (
	ProblemMalformed          = problemPrefix + "malformed"
	ProblemBadName            = problemPrefix + "bad-name"
	ProblemBadParameter       = problemPrefix + "bad-parameter" // in path, query or header
	ProblemCrossOrigin        = problemPrefix + "cross-origin"
	ProblemMayNotReveal       = problemPrefix + "may-not-reveal" // sensitive values
	ProblemNoRoute            = problemPrefix + "no-route"
	ProblemNamespaceNotFound  = problemPrefix + "namespace-not-found"
	ProblemNoValue            = problemPrefix + "no-value" // the key has no effective value
	ProblemNoDefinition       = problemPrefix + "no-definition"
	ProblemNotSealed          = problemPrefix + "not-sealed"
	ProblemUnknownPoint       = problemPrefix + "unknown-point" // of a history: a revision, position, time or tag
	ProblemNoReplay           = problemPrefix + "no-replay"     // none was asked for
	ProblemMethod             = problemPrefix + "method-not-allowed"
	ProblemRequestTimeout     = problemPrefix + "request-timeout"  // the body did not arrive
	ProblemNamespaceExists    = problemPrefix + "namespace-exists" // with other attributes
	ProblemTagInUse           = problemPrefix + "tag-in-use"       // it names another revision
	ProblemConflict           = problemPrefix + "conflict"         // an expectation does not hold
	ProblemPreconditionFailed = problemPrefix + "precondition-failed"
	ProblemExpectationMissing = problemPrefix + "expectation-missing"
	ProblemOverLimit          = problemPrefix + "over-limit"
	ProblemContentType        = problemPrefix + "content-type"
	ProblemWrongHost          = problemPrefix + "wrong-host"
	ProblemUnknownKey         = problemPrefix + "unknown-key"
	ProblemInvalidValue       = problemPrefix + "invalid-value"
	ProblemInvalidDefinition  = problemPrefix + "invalid-definition"
	ProblemRequiredKey        = problemPrefix + "required-key"
	ProblemKeyReused          = problemPrefix + "idempotency-key-reused"
	ProblemBusy               = problemPrefix + "busy"
	ProblemInternal           = problemPrefix + "internal"
	ProblemUnavailable        = problemPrefix + "unavailable"
	ProblemTooManyWatches     = problemPrefix + "too-many-watches"
	ProblemOutcomeUnknown     = problemPrefix + "outcome-unknown" // retry with the same Idempotency-Key
	ProblemNotReached         = problemPrefix + "position-not-reached"

	problemPrefix = "urn:holdfast:problem:"
)
