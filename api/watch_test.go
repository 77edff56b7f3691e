package api_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/holdfast-config/holdfast/api"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/sse"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// watch is a watch as a client holds it: the view that its events add up to.
type watch struct {
	t      testing.TB
	body   io.ReadCloser
	events *sse.Reader
	view   view.Snapshot
	marked view.Bookmark
	names  []string // of the events, bookmarks left out
	raw    []byte   // all that was read
}

// watch opens a watch that must begin. The query is what follows the path.
func (c *client) watch(ns, query string, headers ...string) *watch {
	c.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", c.url+"/v1/namespaces/"+ns+"/watch"+query, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != sse.ContentType {
		text, _ := io.ReadAll(resp.Body)
		c.t.Fatalf("got %s: %s", resp.Status, text)
	}
	w := &watch{t: c.t, body: resp.Body}
	w.events = sse.NewReader(io.TeeReader(resp.Body, w), 0)
	return w
}

func (w *watch) Write(b []byte) (int, error) {
	w.raw = append(w.raw, b...)
	return len(b), nil
}

// from is what the client of a watch that resumes has.
func (w *watch) from(s view.Snapshot) *watch {
	w.view = s
	return w
}

// next takes the next event as a strict reader would: a change must follow what it has.
func (w *watch) next() (sse.Event, error) {
	w.t.Helper()
	ev, err := w.events.Next()
	if err != nil {
		return ev, err
	}
	if ev.Name != view.EventBookmark {
		w.names = append(w.names, ev.Name)
	}
	switch ev.Name {
	case view.EventSnapshot:
		w.view, err = view.ParseSnapshot(ev.Data)
		w.checkID(ev, w.view.Position)
	case view.EventBookmark:
		w.marked, err = view.ParseBookmark(ev.Data)
		if w.marked.Epoch != w.view.Epoch {
			w.t.Errorf("a bookmark of epoch %s in one of %s", w.marked.Epoch, w.view.Epoch)
		}
	case view.EventChange:
		var cs view.ChangeSet
		if cs, err = view.ParseChangeSet(ev.Data); err == nil {
			w.checkID(ev, cs.Position)
			w.apply(cs)
		}
	}
	if err != nil {
		w.t.Fatalf("%s: %v", ev.Name, err)
	}
	return ev, nil
}

func (w *watch) checkID(ev sse.Event, want events.Position) {
	w.t.Helper()
	if ev.ID != fmt.Sprint(want) {
		w.t.Errorf("%s at %d has id %s", ev.Name, want, ev.ID)
	}
}

func (w *watch) apply(cs view.ChangeSet) {
	w.t.Helper()
	if cs.Prev != w.view.Position || cs.Epoch != w.view.Epoch || cs.Namespace != w.view.Namespace {
		w.t.Fatalf("a change of %s after %d in %s at %d", cs.Namespace, cs.Prev, w.view.Namespace, w.view.Position)
	}
	w.view.Position, w.view.Revision = cs.Position, cs.Revision
	for _, c := range cs.Changes {
		if c.Entry == nil {
			delete(w.view.Values, c.Key)
		} else {
			w.view.Values[c.Key] = *c.Entry
		}
	}
}

// until reads until a bookmark says that nothing up to pos is missing.
func (w *watch) until(pos events.Position) *watch {
	w.t.Helper()
	for w.marked.Position < pos {
		if _, err := w.next(); err != nil {
			w.t.Fatalf("at %d, waiting for %d: %v", w.view.Position, pos, err)
		}
	}
	return w
}

// end reads until the stream ends and returns the last event's name.
func (w *watch) end() string {
	w.t.Helper()
	last := ""
	for {
		ev, err := w.next()
		if err != nil {
			if err != io.EOF {
				w.t.Fatalf("the stream broke: %v", err)
			}
			return last
		}
		last = ev.Name
	}
}

// fold is the view of ns as the log has it at pos.
func (c *client) fold(ns events.Namespace, pos events.Position) view.Snapshot {
	c.t.Helper()
	head, err := c.log.Head(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	s := view.Snapshot{Epoch: head.Epoch, Namespace: ns, Values: map[events.Key]view.Entry{}}
	if pos == 0 {
		return s
	}
	tree, err := c.log.Load(c.t.Context(), ns, pos)
	if err != nil {
		c.t.Fatal(err)
	}
	if own, ok := tree.Namespace(ns); ok {
		s.Revision = own.Revision
	}
	for key, e := range tree.Entries(ns) {
		s.Values[key] = view.Entry(e)
	}
	return s
}

// sameView compares all but the position, which a fold does not have.
func sameView(t rapid.TB, what string, got, want view.Snapshot) {
	t.Helper()
	got.Position, want.Position = 0, 0
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: %s", what, diff)
	}
}

// history posts commands of every kind to a tree of three, and to another.
func (c *client) history(ns string) {
	c.t.Helper()
	define := func(key, kind, def string) string {
		return fmt.Sprintf(`{"do":"define","key":%q,"definition":{"kind":%q,"default":%s}}`, key, kind, def)
	}
	set := func(key, value string) string { return fmt.Sprintf(`{"do":"set","key":%q,"value":%s}`, key, value) }
	c.post(ns+".a.b", `{"do":"create"}`) // before those it will inherit from
	c.post(ns, `{"do":"create"},`+define("n", "int", "1")+","+define("s", "string", `"x"`))
	c.post("other", `{"do":"create","open":true},`+set("k", "1"))
	c.post(ns+".a", `{"do":"create"},`+set("n", "2"))
	c.post(ns, set("n", "3")) // does not touch the views below
	c.post(ns, set("s", `"<y>\n"`))
	c.post("other", set("k", "2"))
	c.post(ns+".a.b", set("s", `"own"`))
	c.post(ns, set("s", `"z"`)+","+define("late", "bool", "true"))
	c.post(ns+".a", `{"do":"unset","key":"n"}`)
	c.post(ns+".a.b", `{"do":"unset","key":"s"}`)
	c.post(ns, `{"do":"remove","key":"late"}`)
	c.post(ns+".sibling", `{"do":"create"},`+set("n", "9"))
}

// TestWatchResumes: from every position of a history, and from none, a watch brings the view to what the log folds to.
func TestWatchResumes(t *testing.T) {
	c := serve(t, nil)
	c.history("shop")
	head := c.head()
	for _, ns := range []events.Namespace{"shop", "shop.a", "shop.a.b", "shop.sibling"} {
		want := c.fold(ns, head)
		sameView(t, string(ns)+" anew", c.watch(string(ns), "").until(head).view, want)
		for after := range head + 1 {
			start := c.fold(ns, after)
			start.Position = after
			w := c.watch(string(ns), fmt.Sprintf("?after=%d&epoch=%s", after, start.Epoch)).from(start).until(head)
			sameView(t, fmt.Sprintf("%s from %d", ns, after), w.view, want)
			if w.marked.Head != head {
				t.Errorf("%s from %d: the head is %d, got %d", ns, after, head, w.marked.Head)
			}
			w.body.Close()
		}
	}
}

// TestWatchChangesAreWhole: who resumes gets each change set that touched the view, and none that did not.
func TestWatchChangesAreWhole(t *testing.T) {
	c := serve(t, nil)
	c.post("shop", `{"do":"create","open":true}`)
	c.post("shop.a", `{"do":"create"}`)
	for i := range 40 { // keys enough for changes to be less than the view
		c.post("shop", fmt.Sprintf(`{"do":"set","key":"k%d","value":1}`, i))
	}
	start := c.fold("shop.a", c.head())
	start.Position = c.head()
	var wide []string // more events than are read at once
	for i := range 150 {
		wide = append(wide, fmt.Sprintf(`{"do":"set","key":"w%d","value":1}`, i))
	}
	c.post("shop", strings.Join(wide, ","))
	c.post("shop.a", `{"do":"set","key":"k0","value":2}`)
	c.post("shop", `{"do":"set","key":"k0","value":3}`) // hidden in shop.a
	c.post("shop", `{"do":"set","key":"k1","value":3}`)
	head := c.head()
	w := c.watch("shop.a", "", "Last-Event-ID", fmt.Sprint(start.Position)).from(start).until(head)
	if diff := cmp.Diff([]string{"change", "change", "change"}, w.names); diff != "" {
		t.Error(diff)
	}
	sameView(t, "resumed", w.view, c.fold("shop.a", head))
}

// TestWatchPrefersSnapshot: where more change sets were missed than there are keys, the view comes whole.
func TestWatchPrefersSnapshot(t *testing.T) {
	c := serve(t, nil)
	c.post("shop", `{"do":"create","open":true},{"do":"set","key":"k","value":0}`)
	start := c.fold("shop", c.head())
	start.Position = c.head()
	for i := range 10 {
		c.post("shop", fmt.Sprintf(`{"do":"set","key":"k","value":%d}`, i+1))
	}
	w := c.watch("shop", fmt.Sprintf("?after=%d", start.Position)).from(start).until(c.head())
	if diff := cmp.Diff([]string{"snapshot"}, w.names); diff != "" {
		t.Error(diff)
	}
	sameView(t, "resumed", w.view, c.fold("shop", c.head()))
}

// TestWatchLive: changes come as they are made, with what made them; those in other trees move only the bookmarks. Two
// who watch from the same moment get the same bytes.
func TestWatchLive(t *testing.T) {
	c := serve(t, nil)
	c.history("shop")
	head := c.head()
	one, two := c.watch("shop.a", "").until(head), c.watch("shop.a", "").until(head)
	c.post("shop", `{"do":"set","key":"s","value":"live"}`)
	c.post("shop.a", `{"do":"define","key":"pool","definition":{"kind":"int","default":5}}`)
	last := c.post("other", `{"do":"set","key":"k","value":99}`).Position
	for _, w := range []*watch{one, two} {
		w.until(last)
		if w.marked.Position != last || w.view.Position != last-1 {
			t.Errorf("marked %d, at %d; the last change set was at %d in another tree", w.marked.Position, w.view.Position, last)
		}
		sameView(t, "live", w.view, c.fold("shop.a", last))
	}
	if a, b := withoutBookmarks(one.raw), withoutBookmarks(two.raw); a != b {
		t.Errorf("two watchers got other bytes:\n%s\n%s", a, b)
	}
}

// withoutBookmarks: how many there are depends on time.
func withoutBookmarks(raw []byte) string {
	all := strings.SplitAfter(string(raw), "\n\n")
	return strings.Join(slices.DeleteFunc(all, func(ev string) bool { return strings.HasPrefix(ev, "event: bookmark\n") }), "")
}

// TestWatchForm pins the bytes of the stream.
func TestWatchForm(t *testing.T) {
	c := serve(t, nil)
	c.history("shop")
	w := c.watch("shop.a.b", "").until(c.head())
	c.do("POST", "/v1/namespaces/shop.a.b/commands",
		`{"reason":"more <room>","commands":[{"do":"set","key":"n","value":7},{"do":"set","key":"s","value":"own"}]}`, api.HeaderActor, "alice")
	head := c.head()
	for w.view.Position < head {
		if _, err := w.next(); err != nil {
			t.Fatal(err)
		}
	}
	got := strings.ReplaceAll(withoutBookmarks(w.raw), w.view.Epoch, "EPOCH")
	for _, line := range strings.Split(string(w.raw), "\n") {
		if at := strings.Index(line, `"time":"`); at >= 0 {
			got = strings.ReplaceAll(got, line[at+8:at+8+strings.IndexByte(line[at+8:], '"')], "TIME")
		}
	}
	first, _, _ := strings.Cut(string(w.raw[strings.Index(string(w.raw), "event: bookmark"):]), "\n\n")
	got += strings.ReplaceAll(first, w.view.Epoch, "EPOCH") + "\n\n"
	goldenText(t, "testdata/watch.txt", got)
}

func goldenText(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

// TestWatchRefuses: what is wrong is said before the stream begins.
func TestWatchRefuses(t *testing.T) {
	c := serve(t, nil)
	c.post("shop", `{"do":"create"}`)
	c.do("GET", "/v1/namespaces/none/watch", "").problem(t, api.ProblemNamespaceNotFound)
	c.do("GET", "/v1/namespaces/Shop/watch", "").problem(t, api.ProblemBadName)
	for _, query := range []string{"?after=x", "?after=-1", "?after=1.5", "?aftr=1", "?after=99999999999999999999"} {
		c.do("GET", "/v1/namespaces/shop/watch"+query, "").problem(t, api.ProblemBadParameter)
	}
	c.do("GET", "/v1/namespaces/shop/watch", "", "Last-Event-ID", "abc").problem(t, api.ProblemBadParameter)
}

// TestWatchLimit: a process takes as many watches as it is told, and one that ends makes room.
func TestWatchLimit(t *testing.T) {
	c := serveConfig(t, api.Config{Log: serve(t, nil).log, MaxWatchers: 1})
	c.post("shop", `{"do":"create"}`)
	w := c.watch("shop", "").until(c.head())
	a := c.do("GET", "/v1/namespaces/shop/watch", "")
	if a.problem(t, api.ProblemTooManyWatches); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("got %d %v", a.status, a.header)
	}
	w.body.Close()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if status, err := c.begin(ctx, "shop"); err == nil && status == http.StatusOK {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// begin returns the status of a watch, and ends it.
func (c *client) begin(ctx context.Context, ns string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", c.url+"/v1/namespaces/"+ns+"/watch", nil)
	if err != nil {
		return 0, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	return resp.StatusCode, nil
}

// TestWatchHeaders: nothing between server and client should keep or hold back the stream.
func TestWatchHeaders(t *testing.T) {
	c := serve(t, nil)
	c.post("shop", `{"do":"create"}`)
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /v1/namespaces/shop/watch HTTP/1.1\r\nHost: localhost\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no", "Content-Encoding": "",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}
