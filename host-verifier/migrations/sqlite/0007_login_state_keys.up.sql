-- The keys that seal logins between two messages, each sealed itself under the challenge key. Times are Unix seconds.

CREATE TABLE login_state_keys (
    -- SHA-256 of the public challenge key of the verifiers that share them.
    family  BLOB    NOT NULL,
    -- Rises by one with every key.
    number  INTEGER NOT NULL,
    sealed  BLOB    NOT NULL,
    made_at INTEGER NOT NULL,
    PRIMARY KEY (family, number)
) STRICT;
