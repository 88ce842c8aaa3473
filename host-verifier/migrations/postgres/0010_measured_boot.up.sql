-- Images that a build made, by what a node measures of them. One that was revoked stays, so that it is told from one that was
-- never known.
CREATE TABLE images (
    sha256        BYTEA   NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL,
    version       TEXT    NOT NULL,
    len           BIGINT  NOT NULL,
    build_id      TEXT    NOT NULL,
    registered_at BIGINT  NOT NULL,
    registered_by TEXT    NOT NULL,
    revoked_at    BIGINT
);

CREATE INDEX images_name ON images (name);

-- How often the MCU and the TPM of a node had started when it logged in last.
CREATE TABLE node_boots (
    ek_hash     TEXT    NOT NULL PRIMARY KEY,
    counter     BIGINT  NOT NULL,
    reset_count BIGINT  NOT NULL,
    witness     BYTEA   NOT NULL
);
