PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO _sqlx_migrations VALUES(1,'sessions nodes challenges','2026-11-22 06:56:48',1,X'58dd1cffefd94edfd1f99d25a33980bc5e24bd9d8b1dfb364e090cff47e5638311e6048ae50188ea2238b7ca643954c5',2967913);
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
INSERT INTO nodes VALUES('59e89184d02fb2a350031105aacf5dfbfd13c638b5168b8c02c30de664fcaf1a',X'000b09eb128f2d94e8e07e6ffa1758d532fc454309f022b59ae0c8268c99b11bff75','spiffe://example.org/node/59e89184d02fb2a350031105aacf5dfbfd13c638b5168b8c02c30de664fcaf1a','lab',1000,6,0,1,2315976112670244864,1795330608,1795330608);
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
INSERT INTO sessions VALUES(X'd34e8950c0d9b927214b0caeb395173b','6b1e498555452f49fef74f2c859f5719','lab','rack','spiffe://example.org/node/59e89184d02fb2a350031105aacf5dfbfd13c638b5168b8c02c30de664fcaf1a','59e89184d02fb2a350031105aacf5dfbfd13c638b5168b8c02c30de664fcaf1a','[["tpm_ek","tpm_ek.public_hash","59e89184d02fb2a350031105aacf5dfbfd13c638b5168b8c02c30de664fcaf1a"],["tpm_quote","tpm_quote.pcr.sha256.0","0000000000000000000000000000000000000000000000000000000000000000"],["tpm_quote","tpm_quote.pcr.sha256.7","0000000000000000000000000000000000000000000000000000000000000000"],["tpm_quote","tpm_quote.clock_safe","true"],["tpm_quote","tpm_quote.firmware_version","2024000100000000"],["tpm_quote","tpm_quote.reset_count","6"],["tpm_quote","tpm_quote.restart_count","0"]]',1795330608,1795334208,X'74c28be79aa694f8184d35cbccfaf6feec878bc711fbdc2c24bd3cac61b3fa6a');
CREATE TABLE answered_challenges (
    digest     BLOB    NOT NULL PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT;
INSERT INTO answered_challenges VALUES(X'162dff1d795db4e3f4a69ebf60898c0c4ba992e93e0da1d7bccfadfbfd98e09f',1795330908);
INSERT INTO answered_challenges VALUES(X'84b220934fb358f6d6d12287d5d0a46523ef172d655a0d7a7b6fdd9bfe72e19b',1795330908);
INSERT INTO answered_challenges VALUES(X'da01e72daf738e7050594d4c27b8288de804b62d04bc814ff7b03b52743b09b1',1795330908);
INSERT INTO answered_challenges VALUES(X'f0a83f23455a5fdfe9f2efed3716399d35acfb57b76f012f6e0a91c13eb499c9',1795330908);
INSERT INTO answered_challenges VALUES(X'04328ad1e37c207a654853be2f1112ec12d96b5d50448674aead4f67bd230856',1795330908);
INSERT INTO answered_challenges VALUES(X'aa7075535fb33a7b66e947e5aab25f49167f3b0812703a22bd8434378bdcf1fe',1795330908);
CREATE INDEX nodes_last_seen ON nodes (last_seen);
CREATE INDEX sessions_expires_at ON sessions (expires_at);
CREATE INDEX sessions_ek_hash ON sessions (ek_hash);
CREATE INDEX answered_challenges_expires_at ON answered_challenges (expires_at);
COMMIT;
