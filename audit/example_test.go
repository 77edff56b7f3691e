package audit_test

import (
	"fmt"
	"time"

	"github.com/holdfast-config/holdfast/audit"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
)

// The root over one event is the hash of its leaf.
func ExampleTree() {
	row := eventlog.Row{
		Stored:   events.Stored{Type: events.TypeValueSet, Key: "db.max_conns", Data: []byte(`{"value":50}`)},
		Position: 1, Namespace: "payments.prod", Revision: 1, Actor: "ann", Reason: "more load", Time: time.UnixMicro(1767315845678901),
	}
	fmt.Printf("%.60s…\n", audit.AppendLeaf(nil, row))
	var tree audit.Tree
	tree.Add(audit.LeafHash(row))
	fmt.Println(tree.Size(), tree.Sum().Hash == audit.LeafHash(row))
	// Output:
	// 1:1,13:payments.prod,1:1,12:value.set.v1,12:db.max_conns,64:…
	// 1 true
}
