-- Every version of every section that was ever set for a cluster. A section without a document was removed. Versions rise
-- per cluster; sections that were set together have one version. Times are Unix seconds.

CREATE TABLE cluster_config (
    cluster     TEXT    NOT NULL,
    section     TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    generation  INTEGER NOT NULL,
    document    TEXT,
    sha256      BLOB,
    author      TEXT    NOT NULL,
    comment     TEXT    NOT NULL,
    changed_at  INTEGER NOT NULL,
    rollback_of INTEGER,
    PRIMARY KEY (cluster, section, version)
) STRICT;

CREATE INDEX cluster_config_version ON cluster_config (cluster, version);
CREATE INDEX cluster_config_generation ON cluster_config (generation);

-- One row. Who changes anything takes its lock first, so generations are committed in their order.
CREATE TABLE config_generation (
    id         INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    generation INTEGER NOT NULL
) STRICT;

INSERT INTO config_generation (id, generation) VALUES (1, 0);
