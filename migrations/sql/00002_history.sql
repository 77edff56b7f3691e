-- +goose Up

-- History by who wrote it. An actor's events are few or spread over the whole log; without this the log would be read from
-- its end to find them.
CREATE INDEX events_actor ON events (actor, position);

-- +goose Down
DROP INDEX events_actor;
