-- Who may use the API with a bearer token. The token itself is nowhere: sha256 is that of its text.

CREATE TABLE api_tokens (
    id         TEXT NOT NULL PRIMARY KEY,
    sha256     BLOB NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    role       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_at INTEGER
) STRICT;
