package api

import (
	"maps"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-config/holdfast/audit"
	"github.com/holdfast-config/holdfast/events"
)

const schemaPrefix = "#/components/schemas/"

// openapiConfig is huma's, without its pages: they would load scripts from elsewhere.
func openapiConfig() huma.Config {
	schemas := huma.NewMapRegistry(schemaPrefix, func(t reflect.Type, hint string) string {
		if t == reflect.TypeFor[events.Definition]() || t == reflect.TypeFor[*events.Definition]() {
			return "DefinitionGiven"
		}
		return huma.DefaultSchemaNamer(t, hint)
	})
	schemas.RegisterTypeAlias(reflect.TypeFor[events.Value](), reflect.TypeFor[any]())  // any JSON
	schemas.RegisterTypeAlias(reflect.TypeFor[audit.Hash](), reflect.TypeFor[string]()) // base64
	cfg := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Holdfast", Version: "1",
				Description: "Change configuration without a deploy, know and prove who changed what and why, and never read half a change.",
			},
			Components: &huma.Components{Schemas: schemas},
		},
		// The second is for application/problem+json.
		Formats:       map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat: "application/json",
	}
	cfg.AllowAdditionalPropertiesByDefault = true // answers may gain members; bodies of requests say that they take no others
	return cfg
}

// changeSetBody documents what commands.Parse reads.
type changeSetBody struct {
	_        struct{}      `json:"-" additionalProperties:"false"`
	Reason   string        `json:"reason,omitempty"`
	Expect   expectBody    `json:"expect,omitzero" doc:"About the namespace"`
	Commands []commandBody `json:"commands" minItems:"1" maxItems:"1000"`
}

type commandBody struct {
	_           struct{}          `json:"-" additionalProperties:"false"`
	Do          string            `json:"do" enum:"create,define,set,unset,remove,tag,untag"`
	Key         string            `json:"key,omitempty" doc:"In define, set, unset and remove"`
	Value       events.Value      `json:"value,omitempty" doc:"In set"`
	Definition  events.Definition `json:"definition,omitzero" doc:"In define"`
	Open        bool              `json:"open,omitempty" doc:"In create: keys may be set without a definition"`
	Description string            `json:"description,omitempty" doc:"In create"`
	Labels      map[string]string `json:"labels,omitempty" doc:"In create"`
	Tag         events.Tag        `json:"tag,omitempty" doc:"In tag and untag"`
	Revision    events.Revision   `json:"revision,omitempty" minimum:"1" doc:"In tag: what it names; absent: the revision that the change set makes"`
	Expect      expectBody        `json:"expect,omitzero" doc:"About the key; where there is one"`
}

type expectBody struct {
	_        struct{} `json:"-" additionalProperties:"false"`
	Revision int64    `json:"revision,omitempty" minimum:"0" doc:"Of the namespace, or of the key's own value or definition; 0: there is none"`
	Position int64    `json:"position,omitempty" minimum:"0" doc:"Of the key's effective entry; 0: it has none. In set and unset"`
}

// takeJSON documents the body of an operation that reads it itself, so that there is one parser and not two.
func takeJSON[T any](s *server, op *huma.Operation, maxBytes int64) {
	schema := s.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[T](), true, "")
	op.RequestBody = &huma.RequestBody{Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}}
	op.SkipValidateBody = true
	op.MaxBodyBytes = maxBytes + 1 // huma refuses what reaches it
	op.BodyReadTimeout = requestTimeout
}

// dropRawBody takes back what huma says of the body that the operation reads itself.
func dropRawBody(op huma.Operation) {
	delete(op.RequestBody.Content, "application/octet-stream")
}

// answerEither documents an operation with two forms of answer.
func answerEither[A, B any](s *server, op *huma.Operation) {
	schemas := s.huma.OpenAPI().Components.Schemas
	either := &huma.Schema{OneOf: []*huma.Schema{
		schemas.Schema(reflect.TypeFor[A](), true, ""), schemas.Schema(reflect.TypeFor[B](), true, ""),
	}}
	op.Responses = map[string]*huma.Response{"200": {
		Description: "What was appended, or with dry_run what would be",
		Content:     map[string]*huma.MediaType{"application/json": {Schema: either}},
	}}
}

// answerAlso documents an answer of another status with the form of A.
func answerAlso[A any](s *server, op *huma.Operation, status, description string) {
	schema := s.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[A](), true, "")
	op.Responses = map[string]*huma.Response{status: {
		Description: description,
		Content:     map[string]*huma.MediaType{"application/json": {Schema: schema}},
	}}
}

// documentErrors says that whatever else is answered is a problem.
func documentErrors(s *server, op *huma.Operation) {
	problem := s.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "")
	responses := map[string]*huma.Response{"default": {
		Description: "A problem",
		Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: problem}},
	}}
	maps.Copy(responses, op.Responses)
	op.Responses = responses
}
