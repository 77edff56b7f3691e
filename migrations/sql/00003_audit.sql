-- +goose Up

-- The tree of hashes over the events, in tiles of 256 hashes each; the last of a level may have fewer, and grows. All of it
-- can be computed anew from the events. Hashes do not compress.
CREATE TABLE tiles (
    level  smallint NOT NULL CHECK (level >= 0),
    n      bigint   NOT NULL CHECK (n >= 0),
    hashes bytea    NOT NULL CHECK (octet_length(hashes) BETWEEN 32 AND 256 * 32 AND octet_length(hashes) % 32 = 0),
    CONSTRAINT tiles_key PRIMARY KEY (level, n)
);
ALTER TABLE tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;

-- The newest checkpoint: so many events are in the tree, and a signed note says so. It moves forward only from where the
-- sealer saw it, so that two of them can not both move it.
CREATE TABLE checkpoint (
    one  boolean NOT NULL DEFAULT true CONSTRAINT checkpoint_one PRIMARY KEY CHECK (one),
    size bigint  NOT NULL DEFAULT 0 CHECK (size >= 0),
    note text    NOT NULL DEFAULT '' -- empty: nothing is sealed yet
) WITH (fillfactor = 10);
INSERT INTO checkpoint DEFAULT VALUES;

-- Epochs are UUIDs of version 7, which begin with their time, so that of two the later one is known. A log that has events
-- keeps the epoch it has: it comes before all of these.
UPDATE head
SET epoch = overlay(replace(gen_random_uuid()::text, '-', '')
    PLACING lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7' FROM 1 FOR 13)::uuid
WHERE position = 0;

-- +goose Down
DROP TABLE checkpoint;
DROP TABLE tiles;
