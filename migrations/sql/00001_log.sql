-- +goose Up

-- The log. A row is inserted once and never changes. The name's collation is "C" so that names sort by their bytes, as
-- they do in Go, and the namespaces below "a" are one range: "a." <= namespace < "a/".
CREATE TABLE events (
    position  bigint      NOT NULL CONSTRAINT events_position PRIMARY KEY CHECK (position > 0),
    namespace text        COLLATE "C" NOT NULL CHECK (namespace <> ''),
    revision  bigint      NOT NULL CHECK (revision > 0),
    type      text        COLLATE "C" NOT NULL,
    key       text        COLLATE "C" CHECK (key <> ''), -- NULL: about the namespace itself
    data      json        NOT NULL, -- json, not jsonb: the bytes stay as they were written
    actor     text        NOT NULL,
    reason    text        NOT NULL,
    at        timestamptz NOT NULL
);

-- Each event pays for the primary key, this index and one or two of the partial ones below.
CREATE INDEX events_namespace ON events (namespace, position);

-- A namespace is created once; and this is the list of namespaces.
CREATE UNIQUE INDEX events_created ON events (namespace)
    WHERE type = 'namespace.created.v1';

-- The last event of each class is a key's own state. Two indices, not one: a loose scan then finds each by one descent,
-- however many values were set since the key was defined.
CREATE INDEX events_definitions ON events (namespace, key, position)
    WHERE type IN ('key.defined.v1', 'key.removed.v1');
CREATE INDEX events_values ON events (namespace, key, position)
    WHERE type IN ('value.set.v1', 'value.unset.v1', 'key.removed.v1');

-- Events that none of the indices above lead to. Empty, until a newer program adds a type: one that does not know it
-- finds it here when it loads a namespace, and stops, instead of folding a state without it.
CREATE INDEX events_others ON events (namespace, position)
    WHERE type NOT IN ('namespace.created.v1', 'key.defined.v1', 'key.removed.v1', 'value.set.v1', 'value.unset.v1');

-- The application's role lacks the privileges; this stops the owner's slip. It costs an INSERT nothing.
-- +goose StatementBegin
CREATE FUNCTION events_are_facts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are never changed or deleted: % refused', TG_OP
        USING ERRCODE = 'object_not_in_prerequisite_state';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER events_are_facts BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION events_are_facts();
ALTER TABLE events ENABLE ALWAYS TRIGGER events_are_facts;

-- Where the log ends: one row, moved by every transaction that appends, so that positions are gapless and in the order of
-- commits. The page has room for new versions of the row, so that moving it touches no index.
CREATE TABLE head (
    one      boolean     NOT NULL DEFAULT true CONSTRAINT head_one PRIMARY KEY CHECK (one),
    epoch    uuid        NOT NULL DEFAULT gen_random_uuid(), -- identity of this history; a restore makes a new one
    position bigint      NOT NULL DEFAULT 0 CHECK (position >= 0),
    at       timestamptz NOT NULL DEFAULT clock_timestamp()  -- of the last event
) WITH (fillfactor = 10);
INSERT INTO head DEFAULT VALUES;

-- The answers given to requests with an idempotency key, stored in the transaction that stored their events.
CREATE TABLE receipts (
    principal text        COLLATE "C" NOT NULL,
    key       text        COLLATE "C" NOT NULL,
    hash      bytea       NOT NULL CHECK (octet_length(hash) = 32),
    namespace text        COLLATE "C" NOT NULL,
    revision  bigint      NOT NULL,
    position  bigint      NOT NULL,
    events    integer     NOT NULL,
    at        timestamptz NOT NULL, -- of the event at position
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT receipts_key PRIMARY KEY (principal, key)
);
CREATE INDEX receipts_stored_at ON receipts (stored_at);

-- The fencing number of the active projector.
CREATE TABLE term (
    one  boolean NOT NULL DEFAULT true CONSTRAINT term_one PRIMARY KEY CHECK (one),
    term bigint  NOT NULL DEFAULT 0 CHECK (term >= 0)
);
INSERT INTO term DEFAULT VALUES;

-- +goose Down
DROP TABLE term;
DROP TABLE receipts;
DROP TABLE head;
DROP TABLE events;
DROP FUNCTION events_are_facts;
