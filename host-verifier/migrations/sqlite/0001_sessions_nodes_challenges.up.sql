-- Times are Unix seconds; counters of 64 bits are stored as the signed number with the same bits.

CREATE TABLE nodes (
    ek_hash          TEXT    NOT NULL PRIMARY KEY,
    ak_name          BLOB    NOT NULL UNIQUE,
    spiffe_id        TEXT    NOT NULL UNIQUE,
    cluster          TEXT    NOT NULL,
    clock            INTEGER,
    reset_count      INTEGER,
    restart_count    INTEGER,
    safe             INTEGER,
    firmware_version INTEGER,
    first_seen       INTEGER NOT NULL,
    last_seen        INTEGER NOT NULL
) STRICT;

CREATE INDEX nodes_last_seen ON nodes (last_seen);

CREATE TABLE sessions (
    id            BLOB    NOT NULL PRIMARY KEY,
    login_id      TEXT    NOT NULL,
    cluster       TEXT    NOT NULL,
    policy        TEXT    NOT NULL,
    spiffe_id     TEXT    NOT NULL,
    ek_hash       TEXT    NOT NULL REFERENCES nodes (ek_hash) ON DELETE CASCADE,
    -- JSON: [[origin, name, value], …]
    attributes    TEXT    NOT NULL,
    issued_at     INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    secret_sha256 BLOB    NOT NULL
) STRICT;

CREATE INDEX sessions_expires_at ON sessions (expires_at);
CREATE INDEX sessions_ek_hash ON sessions (ek_hash);

CREATE TABLE answered_challenges (
    digest     BLOB    NOT NULL PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX answered_challenges_expires_at ON answered_challenges (expires_at);
