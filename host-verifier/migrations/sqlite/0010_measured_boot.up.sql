-- Images that a build made, by what a node measures of them. One that was revoked stays, so that it is told from one that was
-- never known.
CREATE TABLE images (
    sha256        BLOB    NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL,
    version       TEXT    NOT NULL,
    len           INTEGER NOT NULL,
    build_id      TEXT    NOT NULL,
    registered_at INTEGER NOT NULL,
    registered_by TEXT    NOT NULL,
    revoked_at    INTEGER
) STRICT;

CREATE INDEX images_name ON images (name);

-- How often the MCU and the TPM of a node had started when it logged in last.
CREATE TABLE node_boots (
    ek_hash     TEXT    NOT NULL PRIMARY KEY,
    counter     INTEGER NOT NULL,
    reset_count INTEGER NOT NULL,
    witness     BLOB    NOT NULL
) STRICT;
