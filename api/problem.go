package api

import "github.com/holdfast-config/holdfast/events"

// Problem is an error as it is answered: RFC 9457 problem details, application/problem+json.
type Problem struct {
	Type     string          `json:"type" format:"uri" doc:"Stable name of the kind of problem"`
	Title    string          `json:"title"`
	Status   int             `json:"status"`
	Detail   string          `json:"detail,omitempty" doc:"What is wrong here and what to do; never a value"`
	Position events.Position `json:"position,omitempty" doc:"How far the log got, where a position was not reached"`
	Errors   []ProblemError  `json:"errors,omitempty" doc:"Each thing that is wrong"`
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

// The types of problems.
const (
	ProblemMalformed          = problemPrefix + "malformed"              // 400
	ProblemBadName            = problemPrefix + "bad-name"               // 400
	ProblemBadParameter       = problemPrefix + "bad-parameter"          // 400: path, query or header
	ProblemCrossOrigin        = problemPrefix + "cross-origin"           // 403: a browser writes for another site
	ProblemNoRoute            = problemPrefix + "no-route"               // 404
	ProblemNamespaceNotFound  = problemPrefix + "namespace-not-found"    // 404
	ProblemNoValue            = problemPrefix + "no-value"               // 404: the key has no effective value
	ProblemNoDefinition       = problemPrefix + "no-definition"          // 404
	ProblemMethod             = problemPrefix + "method-not-allowed"     // 405
	ProblemTimeout            = problemPrefix + "request-timeout"        // 408: the body did not arrive
	ProblemNamespaceExists    = problemPrefix + "namespace-exists"       // 409: with other attributes
	ProblemConflict           = problemPrefix + "conflict"               // 409: an expectation does not hold
	ProblemPreconditionFailed = problemPrefix + "precondition-failed"    // 412: If-Match, If-None-Match
	ProblemOverLimit          = problemPrefix + "over-limit"             // 413
	ProblemContentType        = problemPrefix + "content-type"           // 415
	ProblemWrongHost          = problemPrefix + "wrong-host"             // 421
	ProblemUnknownKey         = problemPrefix + "unknown-key"            // 422
	ProblemInvalidValue       = problemPrefix + "invalid-value"          // 422
	ProblemInvalidDefinition  = problemPrefix + "invalid-definition"     // 422
	ProblemRequiredKey        = problemPrefix + "required-key"           // 422
	ProblemKeyReused          = problemPrefix + "idempotency-key-reused" // 422
	ProblemBusy               = problemPrefix + "busy"                   // 429, with Retry-After
	ProblemInternal           = problemPrefix + "internal"               // 500
	ProblemUnavailable        = problemPrefix + "unavailable"            // 503, with Retry-After
	ProblemOutcomeUnknown     = problemPrefix + "outcome-unknown"        // 504: retry with the same Idempotency-Key
	ProblemNotReached         = problemPrefix + "position-not-reached"   // 504: min_position

	problemPrefix = "urn:holdfast:problem:"
)

// Error makes a problem that was received an error for the client's code.
func (p *Problem) Error() string {
	if p.Detail == "" {
		return p.Title
	}
	return p.Detail
}
