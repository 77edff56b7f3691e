package view

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/events"
)

// InstancesKey is the hash of a namespace in which readers say who they are and what they show: instance → JSON with
// "expires_at" and "reported_at", Unix milliseconds by Redis' clock, and the members of [Instance]. "expires_at" comes
// first. A report is over then, and is taken away some time later.
func InstancesKey(ns events.Namespace) string { return "holdfast:{" + string(ns) + "}:instances" }

// Instance is what one reader says of itself.
type Instance struct {
	App      string          `json:"app"`               // the program, or what it calls itself
	Instance string          `json:"instance"`          // unique among the readers of the namespace
	Host     string          `json:"host,omitzero"`     // where it runs; "": unknown
	Version  string          `json:"version,omitzero"`  // of the library
	Epoch    string          `json:"epoch,omitzero"`    // of the history that positions count in
	Position events.Position `json:"position"`          // shown; Epoch and Position are zero before the first view
	Revision events.Revision `json:"revision"`          // of the namespace at Position
	Source   string          `json:"source,omitzero"`   // where it reads from
	State    string          `json:"state,omitzero"`    // as readmodel.State has it
	AgeMs    int64           `json:"age_ms"`            // milliseconds since the source last confirmed what is shown
	Rejected *Rejected       `json:"rejected,omitzero"` // nil: nothing

	// Set by ListInstances, by Redis' clock.
	ReportedAt time.Time `json:"-"` // when this was said, in UTC
	Gone       bool      `json:"-"` // it has not reported for longer than it said it would
}

// Rejected is a change that an instance refused to show.
type Rejected struct {
	Position events.Position `json:"position"` // of the newest state, which it does not show
	Why      string          `json:"why"`      // never a value
}

const (
	maxReportBytes = 4 << 10
	goneFor        = 15 * time.Minute // for which a report that is over is still listed
)

var (
	//go:embed report.lua
	reportSource string
	report       = redis.NewScript(reportSource)
	// list reads the hash and the clock at one moment, on the node that has the hash.
	list = redis.NewScript(`return {redis.call('TIME'), redis.call('HGETALL', KEYS[1])}`)
)

// ReportInstance says how an instance does, in one atomic step. The report is over after ttl: report again well before.
// It fails for an instance without a name and for a report of more than 4 KiB; a Why is cut after 1 KiB.
func ReportInstance(ctx context.Context, rdb redis.UniversalClient, ns events.Namespace, in Instance, ttl time.Duration) error {
	data, err := encodeInstance(in)
	if err != nil {
		return fmt.Errorf("report instance of %s: %w", ns, err)
	}
	err = report.Run(ctx, rdb, []string{InstancesKey(ns)}, in.Instance, data, ttl.Milliseconds(), goneFor.Milliseconds()).Err()
	if err != nil {
		return fmt.Errorf("report instance of %s: %w", ns, err)
	}
	return nil
}

func encodeInstance(in Instance) ([]byte, error) {
	if in.Instance == "" {
		return nil, errors.New("it has no name")
	}
	if in.Rejected != nil && len(in.Rejected.Why) > maxReportBytes/4 {
		in.Rejected = &Rejected{in.Rejected.Position, strings.ToValidUTF8(in.Rejected.Why[:maxReportBytes/4], "")}
	}
	data, err := encode(in)
	if err == nil && len(data) > maxReportBytes {
		err = fmt.Errorf("it has %d bytes, more than %d: shorten app, instance, host or version", len(data), maxReportBytes)
	}
	return data, err
}

// ListInstances returns the instances that reported, and those that are gone for less than about 15 minutes, sorted by app
// and instance; none if nobody has. What is not of the form of a report is left out.
func ListInstances(ctx context.Context, rdb redis.UniversalClient, ns events.Namespace) ([]Instance, error) {
	reply, err := list.Run(ctx, rdb, []string{InstancesKey(ns)}).Slice()
	if err != nil {
		return nil, fmt.Errorf("list instances of %s: %w", ns, err)
	}
	now, fields, err := splitList(reply)
	if err != nil {
		return nil, fmt.Errorf("list instances of %s: %w", ns, err)
	}
	all := make([]Instance, 0, len(fields)/2)
	for i := 1; i < len(fields); i += 2 {
		text, _ := fields[i].(string)
		if in, ok := decodeInstance(text, now); ok {
			all = append(all, in)
		}
	}
	slices.SortFunc(all, func(a, b Instance) int {
		return cmp.Or(strings.Compare(a.App, b.App), strings.Compare(a.Instance, b.Instance))
	})
	return all, nil
}

func splitList(reply []any) (now time.Time, fields []any, err error) {
	if len(reply) == 2 {
		clock, _ := reply[0].([]any)
		fields, _ = reply[1].([]any)
		if len(clock) == 2 {
			var seconds, micros int64
			_, err = fmt.Sscan(fmt.Sprint(clock[0], " ", clock[1]), &seconds, &micros)
			return time.Unix(seconds, micros*1000).UTC(), fields, err
		}
	}
	return time.Time{}, nil, errors.New("the reply is not of its form")
}

func decodeInstance(text string, now time.Time) (Instance, bool) {
	var stored struct {
		Instance
		ExpiresAt  int64 `json:"expires_at"`
		ReportedAt int64 `json:"reported_at"`
	}
	if json.Unmarshal([]byte(text), &stored) != nil || stored.Instance.Instance == "" {
		return Instance{}, false
	}
	in := stored.Instance
	in.ReportedAt = time.UnixMilli(stored.ReportedAt).UTC()
	in.Gone = now.UnixMilli() > stored.ExpiresAt
	return in, true
}
