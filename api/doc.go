// Package api is Holdfast over HTTP: commands in; values, definitions and history out.
//
//	POST   /v1/namespaces/{namespace}/commands            a change set, as commands.Parse reads it; ?dry_run=true
//	PUT    /v1/namespaces/{namespace}/values/{key}        set one value, under If-Match or If-None-Match: *
//	DELETE /v1/namespaces/{namespace}/values/{key}        unset one value, under If-Match
//	POST   /v1/namespaces/{namespace}/restore             restore an earlier point, or promote; ?dry_run=true
//	GET    /v1/namespaces                                 names, paged
//	GET    /v1/namespaces/{namespace}                     one namespace
//	GET    /v1/namespaces/{namespace}/definitions[/{key}] definitions in force; ?at=
//	GET    /v1/namespaces/{namespace}/values[/{key}]      effective values; one has an ETag; ?at=
//	GET    /v1/namespaces/{namespace}/tags                names for revisions
//	GET    /v1/namespaces/{namespace}/diff                between two points, or two namespaces
//	GET    /v1/namespaces/{namespace}/history, /v1/history change sets with what each replaced, paged or streamed
//	GET    /v1/namespaces/{namespace}/events, /v1/events  events as the log holds them, paged
//	GET    /v1/namespaces/{namespace}/watch               the view live from the log, as server-sent events
//	GET    /v1/namespaces/{namespace}/instances           its readers, as they report themselves
//	GET    /v1/log/checkpoint, key, inclusion, consistency, tiles/{level}/{n}, events
//	                                                      the transparency log: see docs/audit.md
//	POST   /v1/replay                                     have all views rebuilt; GET: how far that is
//	GET    /livez, /readyz, /openapi.json
//
// # Writes
//
// A write that is answered with 200 is committed. Its answer has the revision and the position that it made; a write
// that changes nothing is answered with those that stand. The header Holdfast-Actor says who writes ("anonymous" where
// it is absent). With an Idempotency-Key, a retry of the same request finds the answer of the first ("replayed": true);
// the same request is one with equal method, namespace, key, actor, precondition, reason and body. When the answer of
// the database is lost, the problem outcome-unknown says so, and the retry with the same key learns what happened.
//
// The ETag of a value is the position of its effective entry, in quotes. If-Match with it writes only if that entry
// still stands, own or inherited; If-None-Match: * only if there is no effective value. Exactly one strong ETag is taken.
//
// # Restoring
//
// A restore makes the values and definitions that were in force in a namespace at a point of its history be in force again;
// with another namespace in the body, what is in force there (a promotion). It is computed against the present state when it
// is decided, and is one ordinary change set, so that definitions decide what is allowed and history only grows: its first
// event says what was restored. What a change set of the namespace can not undo, such as a key that one above defines since,
// is left; the plan of a dry run says so.
//
// expect.revision is needed, and is a conflict if the namespace has changed since; so is expect.position if one above has. To
// post just what a plan has shown, expect its revision and position, and restore to its from.position, as @345: a tag may move.
//
// # Reads
//
// Values come from the views in Redis. When Redis is down, slow, or holds no complete view, they come from the log; the
// answer says which ("source"). Redis is asked for a third of a second at most, and left alone for a moment after a
// failure, so that a hung one does not slow every read. All else comes from the log, which alone may say that a
// namespace does not exist.
//
// A read with min_position is answered with what includes that position: from Redis if the view has it already, else
// from the log, waited for if the log does not reach so far yet, for as long as the parameter wait says (5s; at most
// 30s). The problem position-not-reached says how far the log got.
//
// # History
//
// A point in a namespace's history is a revision (41), a position (@345), a time or date of RFC 3339, or a tag. As of a
// revision, or of the tag that names it, is as of its end; as of a time, of the last event at or before it; ancestors are
// taken as they were. A read as of a point comes from the log and costs by the keys, and by how often a namespace of the tree
// was tagged, untagged or restored, not by the length of the keys' history. A point that the namespace does not have is the
// problem unknown-point. A time that was a moment ago may still get events.
//
// History answers change sets, the newest first unless order=oldest, and only those of their changes that were asked for,
// with the own value or definition before and after each. Of a change set that has more than 8 MiB of them, what comes after
// (before, with the newest first) has "omitted": true instead; the events have it. next is an opaque cursor for the same
// question. With Accept: application/x-ndjson all change sets are streamed, one a line, in constant memory; a stream that can
// not come to its end is cut off. Events are also filtered, by the same parameters; after goes on in the order that was
// asked for.
//
// # Sensitive values
//
// Values of sensitive keys, and defaults in their definitions, are masked in every answer but a watch's: null, with
// "masked": true. Of the present, the definitions here and above say what is sensitive; in the past a key is sensitive if any
// definition of it, in the namespace or above, ever said so. With reveal=true they are shown to callers for whom
// [Config] says so; others get the problem may-not-reveal. Watches serve services, which need the values: whoever reaches
// this API reaches them, until callers are told apart. No log line and no problem has values.
//
// # Watching
//
// A watch brings the view of a namespace from the log, whether Redis is up or not. Its events, and the form of their data,
// are those of package view:
//
//	snapshot   the whole view; id: its position. First, where the client has no position, and instead of changes where
//	           more change sets were missed than the view has keys
//	change     one change set as it touches the view; id: its position. prev is what the watch was at before: its last
//	           change or snapshot, or where it resumed
//	bookmark   nothing up to this position is missing, and where the log ends. At once, and then every second. It has
//	           no id
//	reset      the position that the client has is of another history; a snapshot follows
//	overflow   the last: the client reads too slowly. More than 1 MiB waited for it
//	goodbye    the last: the server ends
//
// It resumes from any position ever, after Last-Event-ID or the parameter after; with the parameter epoch it also finds
// out that the history is another. A watch may end without a last event, always between two of them unless the connection
// breaks: the client resumes. While Postgres does not answer there are comments in place of bookmarks: whoever hears
// neither for some seconds may take the server to hang. A client that takes nothing for 10 s is cut off. Watches cost
// Postgres one tail a process, which runs while there are any.
//
// # Instances
//
// Readers report to Redis how far they are. An instance is current at the newest view, else behind; rejecting, if it refused
// a change; gone, if it did not report when it should have. Gone ones are listed for a quarter of an hour.
//
// # Problems
//
// Every error is a [Problem] (RFC 9457) with a stable type; those of commands point at the offending place of the body.
// Unknown query parameters are refused, as a misspelt min_position would else be a stale read.
package api
