package events

// Limits on what may be posted. Each is checked at the edge, before anything is decided; sizes are bytes of UTF-8.
const (
	MaxNamespaceLabels   = 8         // labels in a namespace's name
	MaxNamespaceBytes    = 128       // a namespace's name
	MaxKeyBytes          = 256       // a key
	MaxValueBytes        = 256 << 10 // one value, as canonical JSON
	MaxValueDepth        = 64        // arrays and objects inside one another in a value
	MaxDefinitionBytes   = 64 << 10  // one definition, as JSON
	MaxChangeSetCommands = 1_000     // commands in a change set
	MaxChangeSetBytes    = 1 << 20   // a change set, as posted
	MaxActorBytes        = 256       // an actor's name
	MaxReasonBytes       = 4 << 10   // a reason
	MaxLabels            = 64        // labels on a namespace or a definition
	MaxLabelBytes        = 256       // a label's name, and its value; a unit, a group
	MaxDescriptionBytes  = 4 << 10   // a description of a namespace or a key
	MaxTagBytes          = 128       // a tag
	MaxTags              = 10_000    // tags in use in a namespace
)

// LimitError says which limit something is over.
type LimitError struct{ Text string }

func (e *LimitError) Error() string { return e.Text }
