package readmodel

import (
	"encoding/json"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-config/holdfast/events"
)

// StatusHandler shows how fresh the readers are: never their values. It answers 200 while each is healthy (see
// [Reader.Health]), else 503, as JSON, or as a page where the request prefers text/html.
func StatusHandler(readers ...*Reader) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		page := statusPage{Healthy: true, Readers: []readerStatus{}}
		for _, r := range readers {
			shown := statusOf(r)
			page.Healthy = page.Healthy && shown.Healthy
			page.Readers = append(page.Readers, shown)
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		html := prefersHTML(req.Header.Get("Accept"))
		if html {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Content-Security-Policy", "default-src 'none'")
		} else {
			w.Header().Set("Content-Type", "application/json")
		}
		if !page.Healthy {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		if html {
			_ = statusHTML.Execute(w, page) // the client may be gone
			return
		}
		_ = json.NewEncoder(w).Encode(page)
	})
}

type statusPage struct {
	Healthy bool           `json:"healthy"`
	Readers []readerStatus `json:"readers"`
}

type readerStatus struct {
	Namespace   events.Namespace `json:"namespace"`
	Healthy     bool             `json:"healthy"`
	State       State            `json:"state"`
	Source      string           `json:"source"`
	Epoch       string           `json:"epoch"`
	Position    events.Position  `json:"position"`
	Revision    events.Revision  `json:"revision"`
	Head        events.Position  `json:"head"`
	LastContact *time.Time       `json:"last_contact,omitempty"`
	AgeMs       int64            `json:"age_ms"`
	Keys        int              `json:"keys"`
	Resyncs     int              `json:"resyncs"`
	Rejected    *rejectedStatus  `json:"rejected,omitzero"`
	Refused     []events.Key     `json:"refused,omitzero"` // keys whose values the program's declarations refuse
	Why         string           `json:"why,omitzero"`     // it is not healthy, or not fresh
}

// rejectedStatus is the newest state, if it was vetoed.
type rejectedStatus struct {
	Position events.Position `json:"position"`
	Why      string          `json:"why"`
}

func statusOf(r *Reader) readerStatus {
	st, sick := r.Status(), r.Health()
	shown := readerStatus{
		Namespace: st.Namespace, Healthy: sick == nil, State: st.State, Source: st.Source, Epoch: st.Epoch,
		Position: st.Position, Revision: st.Revision, Head: st.Head, AgeMs: st.Age.Milliseconds(), Keys: st.Keys, Resyncs: st.Resyncs,
	}
	if !st.LastContact.IsZero() {
		contact := st.LastContact.UTC()
		shown.LastContact = &contact
	}
	if st.Rejected != nil {
		shown.Rejected = &rejectedStatus{st.Rejected.Position, st.Rejected.Why}
	}
	for _, refused := range st.Refused {
		shown.Refused = append(shown.Refused, refused.Key)
	}
	switch {
	case sick != nil:
		shown.Why = sick.Error()
	case st.Err != nil:
		shown.Why = st.Err.Error()
	}
	return shown
}

// prefersHTML is as much of content negotiation as two forms need: browsers name text/html first.
func prefersHTML(accept string) bool {
	html, plain := strings.Index(accept, "text/html"), strings.Index(accept, "json")
	return html >= 0 && (plain < 0 || html < plain)
}

var statusHTML = template.Must(template.New("status").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Holdfast readers</title>
<h1>Holdfast readers: {{if .Healthy}}healthy{{else}}not healthy{{end}}</h1>
<table>
<tr><th>namespace<th>healthy<th>state<th>source<th>position<th>head<th>revision<th>age, ms<th>keys<th>rejected<th>why
{{range .Readers}}<tr><td>{{.Namespace}}<td>{{.Healthy}}<td>{{.State}}<td>{{.Source}}<td>{{.Position}}<td>{{.Head}}<td>{{.Revision}}<td>{{.AgeMs}}<td>{{.Keys}}<td>{{with .Rejected}}{{.Position}}: {{.Why}}{{end}}<td>{{.Why}}
{{end}}</table>
</html>
`))
