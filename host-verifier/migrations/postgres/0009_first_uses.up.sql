-- Instances whose proofs anybody could repeat, each with the key that logged in with such a proof first. They go with their node.
CREATE TABLE first_uses (
    method   BIGINT NOT NULL,
    identity BYTEA  NOT NULL,
    key      BYTEA  NOT NULL,
    node     TEXT   NOT NULL REFERENCES nodes (ek_hash) ON DELETE CASCADE,
    bound_at BIGINT NOT NULL,
    PRIMARY KEY (method, identity)
);

CREATE INDEX first_uses_node ON first_uses (node);
