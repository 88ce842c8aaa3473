-- Public parts of the authorities that sign SVIDs. Times are Unix seconds.

CREATE TABLE svid_bundles (
    trust_domain TEXT    NOT NULL PRIMARY KEY,
    -- spiffe_sequence: rises with every authority that comes or goes.
    sequence     INTEGER NOT NULL
) STRICT;

CREATE TABLE svid_authorities (
    trust_domain TEXT    NOT NULL REFERENCES svid_bundles (trust_domain),
    id           TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    state        TEXT    NOT NULL,
    replica      TEXT    NOT NULL,
    -- X.509: certificate; JWT: SubjectPublicKeyInfo.
    public       BLOB    NOT NULL,
    -- Certificates, one DER after the other.
    chain        BLOB    NOT NULL,
    roots        BLOB    NOT NULL,
    not_before   INTEGER NOT NULL,
    not_after    INTEGER NOT NULL,
    PRIMARY KEY (trust_domain, id)
) STRICT;
