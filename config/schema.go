package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/holdfast-config/holdfast/events"
)

// schema is a compiled JSON Schema.
type schema struct {
	compiled *jsonschema.Schema
	steps    *steps
}

// maxSteps is how many subschemas one check may evaluate. A few lines of schema can ask for 2^60 of them, by references
// that double at each turn, and whoever decides changes would be stuck for ever. A count, unlike a time limit, comes to
// the same answer everywhere.
const maxSteps = 200_000

// Effort is how many subschemas several checks together may still evaluate: what one may is not enough of a bound where a
// change set asks for a thousand of them.
type Effort int

// MaxEffort is enough for the largest change set of ordinary values, and a second or two.
const MaxEffort Effort = 5_000_000

// steps counts down the evaluations of one check at a time. It is an extension of every subschema.
type steps struct {
	mu   sync.Mutex
	left int
}

// tooManySteps is thrown through the library, which has no other way to end early, and caught in [schema.check].
type tooManySteps struct{}

func (s *steps) Validate(*jsonschema.ValidatorContext, any) {
	if s.left--; s.left < 0 {
		panic(tooManySteps{})
	}
}

func (s *steps) vocabulary() *jsonschema.Vocabulary {
	return &jsonschema.Vocabulary{
		URL: schemaURL + ":steps",
		Compile: func(*jsonschema.CompilerContext, map[string]any) (jsonschema.SchemaExt, error) {
			return s, nil
		},
	}
}

// schemaURL names a definition's schema to the library. Nothing is found relative to it.
const schemaURL = "urn:holdfast:schema"

// noRemote refuses to load what a schema refers to outside itself: a definition must mean the same everywhere, for ever.
type noRemote struct{}

func (noRemote) Load(url string) (any, error) {
	return nil, errors.New("remote references are not allowed")
}

// compileSchema compiles a definition's schema, nil if it has none.
func compileSchema(text events.Value) (*schema, error) {
	if text == "" {
		return nil, nil
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		return nil, errors.New("is not JSON")
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(noRemote{})
	counter := &steps{}
	c.RegisterVocabulary(counter.vocabulary())
	c.AssertVocabs()
	if err := c.AddResource(schemaURL, doc); err != nil {
		return nil, schemaFlaw(err)
	}
	compiled, err := c.Compile(schemaURL)
	if err != nil {
		return nil, schemaFlaw(err)
	}
	return &schema{compiled, counter}, nil
}

// schemaFlaw makes one short line of what the library says about a schema.
func schemaFlaw(err error) error {
	var invalid *jsonschema.SchemaValidationError
	var broken *jsonschema.ValidationError
	if errors.As(err, &invalid) && errors.As(invalid.Err, &broken) {
		return fmt.Errorf("is not a JSON Schema: %s", strings.Join(places(broken, false), ", "))
	}
	var remote *jsonschema.LoadURLError
	if errors.As(err, &remote) {
		return fmt.Errorf("refers to %q: %w", remote.URL, remote.Err)
	}
	return fmt.Errorf("is not a JSON Schema: %w", err)
}

// check says which keywords of the schema v breaks and where in v. The place is left out of what is sensitive, since a
// member's name may be a secret too.
func (s *schema) check(v events.Value, sensitive bool, left *Effort) error {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(v))) // with json.Number: no integer is rounded
	if err != nil {
		return errors.New("is not JSON")
	}
	err = s.validate(doc, left)
	if err == nil {
		return nil
	}
	var broken *jsonschema.ValidationError
	if !errors.As(err, &broken) {
		return err
	}
	return fmt.Errorf("does not satisfy its schema: %s", strings.Join(places(broken, sensitive), ", "))
}

// validate runs the library, at most for [maxSteps], and not for more than is left.
func (s *schema) validate(doc any, left *Effort) (err error) {
	s.steps.mu.Lock()
	defer s.steps.mu.Unlock()
	allowed := min(maxSteps, int(*left))
	s.steps.left = allowed
	defer func() {
		*left -= Effort(allowed - max(0, s.steps.left))
		switch thrown := recover().(type) {
		case nil:
		case tooManySteps:
			if allowed < maxSteps {
				err = fmt.Errorf("can not be checked: the change set's schemas take more than %d steps together; post less at once", MaxEffort)
				return
			}
			err = fmt.Errorf("can not be checked against its schema in %d steps; make the schema simpler", maxSteps)
		default:
			panic(thrown)
		}
	}()
	return s.compiled.Validate(doc)
}

const maxShownPlaces = 3 // in an error text about a schema

// places lists what is broken: the keyword and, unless hidden, the place.
func places(err *jsonschema.ValidationError, hide bool) []string {
	var all []string
	for _, leaf := range leaves(err) {
		place := describe(leaf)
		if !hide {
			place += fmt.Sprintf(" at %q", pointer(leaf.InstanceLocation))
		}
		if !slices.Contains(all, place) {
			all = append(all, place)
		}
	}
	if more := len(all) - maxShownPlaces; more > 0 {
		all = append(all[:maxShownPlaces], fmt.Sprintf("and %d more", more))
	}
	return all
}

// leaves are the innermost causes of err.
func leaves(err *jsonschema.ValidationError) []*jsonschema.ValidationError {
	if len(err.Causes) == 0 {
		return []*jsonschema.ValidationError{err}
	}
	var all []*jsonschema.ValidationError
	for _, cause := range err.Causes {
		all = append(all, leaves(cause)...)
	}
	return all
}

// describe names the keyword that is broken, and adds what the schema, not the value, says about it.
func describe(err *jsonschema.ValidationError) string {
	path := err.ErrorKind.KeywordPath()
	keyword := "false schema"
	if len(path) > 0 {
		keyword = path[0]
	}
	switch k := err.ErrorKind.(type) {
	case *kind.Required:
		return fmt.Sprintf("%s (%s)", keyword, strings.Join(k.Missing, ", "))
	case *kind.Type:
		return fmt.Sprintf("%s (%s)", keyword, strings.Join(k.Want, " or "))
	case *kind.Format:
		return fmt.Sprintf("%s (%s)", keyword, k.Want)
	}
	return keyword
}

// pointer writes a place in a value as a JSON pointer.
func pointer(tokens []string) string {
	var b strings.Builder
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	for _, token := range tokens {
		b.WriteByte('/')
		b.WriteString(escape.Replace(token))
	}
	return b.String()
}
