-- Public parts of the authorities that sign SVIDs. Times are Unix seconds.

CREATE TABLE svid_bundles (
    trust_domain TEXT   NOT NULL PRIMARY KEY,
    -- spiffe_sequence: rises with every authority that comes or goes.
    sequence     BIGINT NOT NULL
);

CREATE TABLE svid_authorities (
    trust_domain TEXT   NOT NULL REFERENCES svid_bundles (trust_domain),
    id           TEXT   NOT NULL,
    kind         TEXT   NOT NULL,
    state        TEXT   NOT NULL,
    replica      TEXT   NOT NULL,
    -- X.509: certificate; JWT: SubjectPublicKeyInfo.
    public       BYTEA  NOT NULL,
    -- Certificates, one DER after the other.
    chain        BYTEA  NOT NULL,
    roots        BYTEA  NOT NULL,
    not_before   BIGINT NOT NULL,
    not_after    BIGINT NOT NULL,
    PRIMARY KEY (trust_domain, id)
);
