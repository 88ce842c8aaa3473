-- A session may be renewed, revoked, and ends for good at reattest_at; an EK may be banned, whether its node is known or not.

-- Sessions that were there before cannot be renewed: they end as they were told.
ALTER TABLE sessions ADD COLUMN reattest_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN renewed_at BIGINT;
ALTER TABLE sessions ADD COLUMN revoked_at BIGINT;
-- What the next renewal must be over; taken by the statement that renews.
ALTER TABLE sessions ADD COLUMN renewal_nonce BYTEA;
-- JSON: what the next renewal is judged by.
ALTER TABLE sessions ADD COLUMN renewal_basis TEXT;

-- In the order in which they are listed.
CREATE INDEX sessions_issued_at ON sessions (issued_at DESC, id);

CREATE TABLE bans (
    ek_hash   TEXT    NOT NULL PRIMARY KEY,
    banned_at BIGINT NOT NULL,
    banned_by TEXT    NOT NULL,
    reason    TEXT    NOT NULL
);
