-- Times are Unix seconds; counters of 64 bits are stored as the signed number with the same bits. The columns are
-- those of SQLite's schema, so that both are read by the same code.

CREATE TABLE nodes (
    ek_hash          TEXT   NOT NULL PRIMARY KEY,
    ak_name          BYTEA  NOT NULL UNIQUE,
    spiffe_id        TEXT   NOT NULL UNIQUE,
    cluster          TEXT   NOT NULL,
    clock            BIGINT,
    reset_count      BIGINT,
    restart_count    BIGINT,
    safe             BIGINT,
    firmware_version BIGINT,
    first_seen       BIGINT NOT NULL,
    last_seen        BIGINT NOT NULL
);

CREATE INDEX nodes_last_seen ON nodes (last_seen);

CREATE TABLE sessions (
    id            BYTEA  NOT NULL PRIMARY KEY,
    login_id      TEXT   NOT NULL,
    cluster       TEXT   NOT NULL,
    policy        TEXT   NOT NULL,
    spiffe_id     TEXT   NOT NULL,
    ek_hash       TEXT   NOT NULL REFERENCES nodes (ek_hash) ON DELETE CASCADE,
    -- JSON: [[origin, name, value], …]. No JSONB: it cannot hold U+0000, which a value may have.
    attributes    TEXT   NOT NULL,
    issued_at     BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    secret_sha256 BYTEA  NOT NULL
);

CREATE INDEX sessions_expires_at ON sessions (expires_at);
CREATE INDEX sessions_ek_hash ON sessions (ek_hash);

CREATE TABLE answered_challenges (
    digest     BYTEA  NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);

CREATE INDEX answered_challenges_expires_at ON answered_challenges (expires_at);
