package commands

import "encoding/json"

// MarshalJSON writes what [Parse] reads.
func (cs ChangeSet) MarshalJSON() ([]byte, error) {
	commands := make([]any, len(cs.Commands))
	for i, cmd := range cs.Commands {
		commands[i] = posted(cmd)
	}
	return json.Marshal(struct {
		Reason   string `json:"reason,omitzero"`
		Expect   Expect `json:"expect,omitzero"`
		Commands []any  `json:"commands"`
	}{cs.Reason, cs.Expect, commands})
}

// posted is cmd with its name, as it is on the wire.
func posted(cmd Command) any {
	do := cmd.Do()
	switch cmd := cmd.(type) {
	case Create:
		return struct {
			Do string `json:"do"`
			Create
		}{do, cmd}
	case Define:
		return struct {
			Do string `json:"do"`
			Define
		}{do, cmd}
	case Set:
		return struct {
			Do string `json:"do"`
			Set
		}{do, cmd}
	case Unset:
		return struct {
			Do string `json:"do"`
			Unset
		}{do, cmd}
	case Remove:
		return struct {
			Do string `json:"do"`
			Remove
		}{do, cmd}
	case Tag:
		return struct {
			Do string `json:"do"`
			Tag
		}{do, cmd}
	case Untag:
		return struct {
			Do string `json:"do"`
			Untag
		}{do, cmd}
	}
	return cmd
}
