package view

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/holdfast-config/holdfast/events"
)

// The metadata of a message repeats what a subscriber may want to route or skip by, without parsing the payload.
const (
	MetadataEpoch     = "epoch"
	MetadataNamespace = "namespace"
	MetadataPosition  = "position"
	MetadataRevision  = "revision"
)

// Message returns cs as a Watermill message. Its UUID is derived from epoch, namespace and position, so that an entry
// written twice is the same message; that of a rebuilt entry also from its time. It fails as [EncodeChangeSet] does.
func Message(cs ChangeSet) (*message.Message, error) {
	payload, err := EncodeChangeSet(cs)
	if err != nil {
		return nil, err
	}
	msg := message.NewMessage(messageID(cs), payload)
	msg.Metadata = message.Metadata{
		MetadataEpoch:     cs.Epoch,
		MetadataNamespace: string(cs.Namespace),
		MetadataPosition:  strconv.FormatInt(int64(cs.Position), 10),
		MetadataRevision:  strconv.FormatInt(int64(cs.Revision), 10),
	}
	return msg, nil
}

// ParseMessage reverses Message. Only the payload counts. It fails as [ParseChangeSet] does.
func ParseMessage(msg *message.Message) (ChangeSet, error) { return ParseChangeSet(msg.Payload) }

// EncodeChangeSet returns the payload of cs: one line of JSON. It fails for a change set without an epoch, whose position is
// not after Prev, or with an entry without a value; errors never repeat values.
func EncodeChangeSet(cs ChangeSet) ([]byte, error) {
	if cs.Changes == nil {
		cs.Changes = []Change{}
	}
	cs.Time = cs.Time.UTC()
	if err := check(cs); err != nil {
		return nil, fmt.Errorf("encode change set: %w", err)
	}
	payload, err := encode(cs)
	if err != nil {
		return nil, fmt.Errorf("encode change set: %w", withoutText(err))
	}
	return payload, nil
}

// ParseChangeSet reverses EncodeChangeSet, and fails for the same reasons. Members that it does not know are ignored.
func ParseChangeSet(payload []byte) (ChangeSet, error) {
	var cs ChangeSet
	if err := json.Unmarshal(payload, &cs); err != nil {
		return ChangeSet{}, fmt.Errorf("decode change set: %w", withoutText(err))
	}
	if err := check(cs); err != nil {
		return ChangeSet{}, fmt.Errorf("decode change set: %w", err)
	}
	return cs, nil
}

// StreamFields returns the fields and values of cs as a stream entry: those of watermill-redisstream, always in the same
// order, since Redis stores the names of fields that repeat only once. It fails as [EncodeChangeSet] does.
func StreamFields(cs ChangeSet) ([]any, error) {
	msg, err := Message(cs)
	if err != nil {
		return nil, err
	}
	fields, err := redisstream.DefaultMarshallerUnmarshaller{}.Marshal(ChangesKey(cs.Namespace), msg)
	if err != nil {
		return nil, fmt.Errorf("encode change set: %w", err)
	}
	list := make([]any, 0, 2*len(fields))
	for _, name := range []string{redisstream.UUIDHeaderKey, "metadata", "payload"} {
		list = append(list, name, fields[name])
	}
	return list, nil
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // the text of a value is canonical: it must come out as it is
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// idSpace is what makes our UUIDs ours (RFC 9562, version 5).
var idSpace = uuid.MustParse("6f6d7f0c-64f1-4d2b-9d0e-8c1b6f0a4a57")

func messageID(cs ChangeSet) string {
	name := cs.Epoch + "/" + string(cs.Namespace) + "/" + strconv.FormatInt(int64(cs.Position), 10)
	if cs.Rebuilt {
		name += "/rebuilt/" + cs.Time.UTC().Format(time.RFC3339Nano)
	}
	return uuid.NewSHA1(idSpace, []byte(name)).String()
}

func check(cs ChangeSet) error {
	switch {
	case cs.Epoch == "":
		return errors.New("it has no epoch")
	case cs.Position < 1 || cs.Prev < 0 || cs.Prev >= cs.Position:
		return fmt.Errorf("position %d can not follow %d", cs.Position, cs.Prev)
	}
	if _, err := events.ParseNamespace(string(cs.Namespace)); err != nil {
		return err
	}
	for _, c := range cs.Changes {
		if c.Entry != nil && c.Entry.Value == "" {
			return fmt.Errorf("the entry of key %q has no value", c.Key)
		}
	}
	return nil
}
