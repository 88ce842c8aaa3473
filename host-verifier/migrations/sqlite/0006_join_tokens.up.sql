-- Secrets that let a node log in once. The token itself is nowhere: sha256 is that of its text. A token that was used stays
-- until it would have ended, so that somebody who uses it again is told from somebody who guesses.

CREATE TABLE join_tokens (
    id         TEXT    NOT NULL PRIMARY KEY,
    sha256     BLOB    NOT NULL UNIQUE,
    cluster    TEXT    NOT NULL,
    spiffe_id  TEXT,
    bound      TEXT    NOT NULL,
    comment    TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT    NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER
) STRICT;

CREATE INDEX join_tokens_expires_at ON join_tokens (expires_at);
