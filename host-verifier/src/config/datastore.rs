//! `datastore`: where sessions, nodes and answered challenges are kept.

use core::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;
use zeroize::Zeroizing;

use super::model::Report;
use super::postgres_url::{self, PostgresUrl};
use crate::document::{self, DocumentError};

const CONNECTIONS: (u32, u32) = (1, 1000);
const DEFAULT_CONNECTIONS: u32 = 10;

/// A checked `datastore`.
#[derive(Debug, Clone)]
pub enum Datastore {
    /// A file, for one verifier.
    Sqlite {
        /// The file.
        path: PathBuf,
    },
    /// A database that several verifiers share.
    Postgres(PostgresSettings),
}

/// How PostgreSQL is reached. [`Display`](fmt::Display) shows it without its password.
#[derive(Debug, Clone)]
pub struct PostgresSettings {
    /// Where it listens.
    pub server: PostgresServer,
    /// The database's user.
    pub user: String,
    /// The database.
    pub database: String,
    /// The user's password; without one, the server must trust the user otherwise.
    pub password: Option<Password>,
    /// What is asked of the server's TLS.
    pub tls: TlsMode,
    /// Certificates that may sign the server's; without them, those that web browsers trust.
    pub root_certificate: Option<PathBuf>,
    /// Most connections of this verifier.
    pub max_connections: u32,
}

/// Where a PostgreSQL server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostgresServer {
    /// A host, by name or address.
    Tcp {
        /// Without brackets.
        host: String,
        /// 1 to 65535.
        port: u16,
    },
    /// A Unix socket.
    Socket {
        /// The directory that holds it.
        directory: PathBuf,
        /// A part of its name.
        port: u16,
    },
}

/// libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// No TLS.
    Disable,
    /// Without TLS if the server lets us.
    Allow,
    /// With TLS if the server has it.
    Prefer,
    /// TLS with whoever answers.
    Require,
    /// TLS with a certificate of a known authority.
    VerifyCa,
    /// And with the host's name in it. The default.
    VerifyFull,
}

/// A password, which no log, error or debug output shows.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// The password itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl fmt::Display for PostgresSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (user, database) = (&self.user, &self.database);
        match &self.server {
            PostgresServer::Tcp { host, port } if host.contains(':') => {
                write!(f, "postgres://{user}@[{host}]:{port}/{database}")
            }
            PostgresServer::Tcp { host, port } => {
                write!(f, "postgres://{user}@{host}:{port}/{database}")
            }
            PostgresServer::Socket { directory, port } => {
                let directory = directory.display();
                write!(f, "postgres://{user}@:{port}/{database}?host={directory}")
            }
        }
    }
}

/// One of the two. Default: SQLite's file in `dataDir`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Datastore", extend("minProperties" = 1, "maxProperties" = 1))]
pub(super) struct Source {
    /// A file, for one assayd.
    sqlite: Option<Sqlite>,
    /// A database that several assayd share.
    postgres: Option<Postgres>,
}

/// A file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sqlite {
    /// Made when it is not there.
    #[schemars(with = "String", length(min = 1))]
    path: Spanned<String>,
}

/// A database.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Postgres {
    /// `postgres://USER@HOST[:PORT]/DATABASE[?sslmode=…&sslrootcert=…&host=…]`, without a password.
    #[schemars(with = "String", regex(pattern = "^postgres(ql)?://"))]
    url: Spanned<String>,
    /// A file with the password and nothing else.
    #[schemars(with = "Option<String>")]
    password_file: Option<Spanned<String>>,
    /// Most connections of this assayd. Default 10.
    #[schemars(with = "Option<u32>", range(min = 1, max = 1000))]
    max_connections: Option<Spanned<u32>>,
}

pub(super) fn check(
    report: &Report<'_>,
    source: &Spanned<Source>,
    base: &Path,
) -> Result<Datastore, DocumentError> {
    match &source.value {
        Source {
            sqlite: Some(sqlite),
            postgres: None,
        } => {
            if sqlite.path.value.is_empty() {
                return Err(report.at(&sqlite.path, "datastore.sqlite.path is empty"));
            }
            Ok(Datastore::Sqlite {
                path: base.join(&sqlite.path.value),
            })
        }
        Source {
            sqlite: None,
            postgres: Some(postgres),
        } => postgres.check(report, base).map(Datastore::Postgres),
        _ => Err(report
            .at(source, "datastore is either `sqlite` or `postgres`")
            .hint("leave datastore out for SQLite in dataDir")),
    }
}

impl Postgres {
    fn check(&self, report: &Report<'_>, base: &Path) -> Result<PostgresSettings, DocumentError> {
        let PostgresUrl {
            server,
            user,
            database,
            tls,
            root_certificate,
        } = postgres_url::parse(&self.url.value).map_err(|error| {
            let located = report.at(&self.url, format!("datastore.postgres.url: {error}"));
            located.hint(error.hint())
        })?;
        let root_certificate = root_certificate.map(|file| base.join(file));
        if let Some(file) = &root_certificate {
            document::read_named(file)
                .map_err(|error| report.at(&self.url, format!("sslrootcert: {error}")))?;
        }
        let password = match &self.password_file {
            None => None,
            Some(file) => Some(password(report, file, base)?),
        };
        let max_connections = report.within(
            self.max_connections.as_ref(),
            DEFAULT_CONNECTIONS,
            CONNECTIONS,
            |n| n.to_string(),
        )?;
        Ok(PostgresSettings {
            server,
            user,
            database,
            password,
            tls,
            root_certificate,
            max_connections,
        })
    }
}

/// The file's one line. A file that everybody reads holds no secret.
fn password(
    report: &Report<'_>,
    file: &Spanned<String>,
    base: &Path,
) -> Result<Password, DocumentError> {
    let path = base.join(&file.value);
    let text = document::read_named(&path).map_err(|error| {
        report
            .at(file, format!("passwordFile: {error}"))
            .hint("check the path, and whether the user that runs assayd may read it")
    })?;
    let text = Zeroizing::new(text);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&path).map_or(0, |meta| meta.permissions().mode());
        if mode & 0o007 != 0 {
            let message = format!("passwordFile: {} is open to everybody", path.display());
            return Err(report
                .at(file, message)
                .hint("chmod 600 the file, and change the password if others may have read it"));
        }
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() || line.contains(['\n', '\0']) {
        let message = format!("passwordFile: {} is not one line", path.display());
        return Err(report
            .at(file, message)
            .hint("the file holds the password and nothing else"));
    }
    Ok(Password(Zeroizing::new(line.to_owned())))
}
