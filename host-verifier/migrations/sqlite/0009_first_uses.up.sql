-- Instances whose proofs anybody could repeat, each with the key that logged in with such a proof first. They go with their node.
CREATE TABLE first_uses (
    method   INTEGER NOT NULL,
    identity BLOB    NOT NULL,
    key      BLOB    NOT NULL,
    node     TEXT    NOT NULL REFERENCES nodes (ek_hash) ON DELETE CASCADE,
    bound_at INTEGER NOT NULL,
    PRIMARY KEY (method, identity)
) STRICT, WITHOUT ROWID;

CREATE INDEX first_uses_node ON first_uses (node);
