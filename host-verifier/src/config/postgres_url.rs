//! `postgres://USER@HOST[:PORT]/DATABASE[?sslmode=…&sslrootcert=…&host=…]`, as libpq writes it, read strictly: a
//! parameter that is not known here is an error, and so is a password, since a configuration is shown and copied.

use core::fmt;
use std::path::PathBuf;

use super::datastore::{PostgresServer, TlsMode};
use crate::document;

const DEFAULT_PORT: u16 = 5432;
const PARAMETERS: [&str; 3] = ["sslmode", "sslrootcert", "host"];
const MODES: [(&str, TlsMode); 6] = [
    ("disable", TlsMode::Disable),
    ("allow", TlsMode::Allow),
    ("prefer", TlsMode::Prefer),
    ("require", TlsMode::Require),
    ("verify-ca", TlsMode::VerifyCa),
    ("verify-full", TlsMode::VerifyFull),
];

/// The parts of a URL.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PostgresUrl {
    pub(super) server: PostgresServer,
    pub(super) user: String,
    pub(super) database: String,
    pub(super) tls: TlsMode,
    pub(super) root_certificate: Option<PathBuf>,
}

/// Why a URL is refused. Shows nothing of it that could be a part of a password.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum UrlError {
    Scheme,
    Password,
    Missing(&'static str),
    Port,
    Encoding,
    Parameter(Option<&'static str>),
    Twice(&'static str),
    Mode(Option<&'static str>),
    TlsOnSocket,
    TwoHosts,
    Socket,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme => f.write_str("not a postgres:// URL"),
            Self::Password => f.write_str("a password does not belong here"),
            Self::Missing(what) => write!(f, "no {what}"),
            Self::Port => f.write_str("a port is a number from 1 to 65535"),
            Self::Encoding => f.write_str("not percent-encoded UTF-8"),
            Self::Parameter(_) => f.write_str("unknown parameter"),
            Self::Twice(name) => write!(f, "{name} is given twice"),
            Self::Mode(_) => f.write_str("unknown sslmode"),
            Self::TlsOnSocket => f.write_str("a Unix socket has no TLS"),
            Self::TwoHosts => f.write_str("two hosts"),
            Self::Socket => f.write_str("`host` is the directory of a Unix socket"),
        }
    }
}

impl UrlError {
    /// What to do about it.
    pub(super) fn hint(&self) -> String {
        match self {
            Self::Password => {
                "write it into a file, chmod 600, and name the file with `passwordFile`".to_owned()
            }
            Self::Encoding => "write `%` as `%25`".to_owned(),
            Self::Parameter(Some(near)) | Self::Mode(Some(near)) => {
                format!("did you mean `{near}`?")
            }
            Self::Parameter(None) => format!("known here: {}", PARAMETERS.join(", ")),
            Self::Mode(None) => format!("known here: {}", MODES.map(|mode| mode.0).join(", ")),
            Self::TlsOnSocket => "leave sslmode and sslrootcert out".to_owned(),
            Self::TwoHosts | Self::Socket => {
                "for a socket, `postgres://USER@/DATABASE?host=/run/postgresql`".to_owned()
            }
            Self::Scheme | Self::Missing(_) | Self::Port | Self::Twice(_) => {
                "for example `postgres://assay@db.example.org:5432/assay`".to_owned()
            }
        }
    }
}

/// Reads a URL.
pub(super) fn parse(url: &str) -> Result<PostgresUrl, UrlError> {
    let rest = url
        .strip_prefix("postgres://")
        .or_else(|| url.strip_prefix("postgresql://"))
        .ok_or(UrlError::Scheme)?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').ok_or(UrlError::Missing("database"))?;
    let (user, address) = authority
        .rsplit_once('@')
        .ok_or(UrlError::Missing("user"))?;
    // An `@` that is not encoded is most likely a part of a password.
    if user.contains([':', '@']) {
        return Err(UrlError::Password);
    }
    let user = decoded(user)?;
    if user.is_empty() {
        return Err(UrlError::Missing("user"));
    }
    let database = decoded(database)?;
    if database.is_empty() {
        return Err(UrlError::Missing("database"));
    }
    let (host, port) = host_and_port(address)?;
    let parameters = parameters(query)?;
    let server = match parameters.host {
        Some(directory) if host.is_empty() => {
            if !directory.starts_with('/') {
                return Err(UrlError::Socket);
            }
            let directory = directory.into();
            PostgresServer::Socket { directory, port }
        }
        Some(_) => return Err(UrlError::TwoHosts),
        None if host.is_empty() => return Err(UrlError::Missing("host")),
        None => PostgresServer::Tcp { host, port },
    };
    let on_socket = matches!(server, PostgresServer::Socket { .. });
    let tls = match parameters.tls {
        None if on_socket => TlsMode::Disable,
        None => TlsMode::VerifyFull,
        Some(mode) => mode,
    };
    if on_socket && (tls != TlsMode::Disable || parameters.root_certificate.is_some()) {
        return Err(UrlError::TlsOnSocket);
    }
    Ok(PostgresUrl {
        server,
        user,
        database,
        tls,
        root_certificate: parameters.root_certificate.map(PathBuf::from),
    })
}

/// `name`, `1.2.3.4` or `[::1]`, each with a port or without.
fn host_and_port(address: &str) -> Result<(String, u16), UrlError> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(UrlError::Missing("host"))?;
            let port = match port.strip_prefix(':') {
                None if port.is_empty() => None,
                None => return Err(UrlError::Port),
                Some(port) => Some(port),
            };
            (host, port)
        }
        None => match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    let port = match port {
        None => DEFAULT_PORT,
        Some(port) => port.parse().map_err(|_| UrlError::Port)?,
    };
    if port == 0 {
        return Err(UrlError::Port);
    }
    Ok((decoded(host)?, port))
}

#[derive(Default)]
struct Parameters {
    tls: Option<TlsMode>,
    root_certificate: Option<String>,
    host: Option<String>,
}

fn parameters(query: &str) -> Result<Parameters, UrlError> {
    fn set<T>(slot: &mut Option<T>, name: &'static str, value: T) -> Result<(), UrlError> {
        match slot.replace(value) {
            None => Ok(()),
            Some(_) => Err(UrlError::Twice(name)),
        }
    }
    let mut read = Parameters::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decoded(value)?;
        match name {
            "sslmode" => set(&mut read.tls, "sslmode", mode(&value)?)?,
            "sslrootcert" => set(&mut read.root_certificate, "sslrootcert", value)?,
            "host" => set(&mut read.host, "host", value)?,
            "password" | "sslpassword" => return Err(UrlError::Password),
            _ => return Err(UrlError::Parameter(document::nearest(name, PARAMETERS))),
        }
    }
    Ok(read)
}

fn mode(text: &str) -> Result<TlsMode, UrlError> {
    let known = MODES.iter().find(|(name, _)| *name == text);
    let near = || UrlError::Mode(document::nearest(text, MODES.map(|mode| mode.0)));
    known.map(|(_, mode)| *mode).ok_or_else(near)
}

fn decoded(text: &str) -> Result<String, UrlError> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || {
            let byte = bytes.next().map(char::from)?;
            byte.to_digit(16).and_then(|digit| u8::try_from(digit).ok())
        };
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(UrlError::Encoding);
        };
        out.push((high << 4) | low);
    }
    let text = String::from_utf8(out).map_err(|_| UrlError::Encoding)?;
    // PostgreSQL's messages end strings with it.
    if text.contains('\0') {
        return Err(UrlError::Encoding);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::{PostgresServer, PostgresUrl, TlsMode, UrlError, parse};

    fn tcp(host: &str, port: u16) -> PostgresServer {
        let host = host.to_owned();
        PostgresServer::Tcp { host, port }
    }

    #[test]
    fn a_url_names_server_user_database_and_tls() {
        let url = |server, user: &str, database: &str, tls, root: Option<&str>| PostgresUrl {
            server,
            user: user.to_owned(),
            database: database.to_owned(),
            tls,
            root_certificate: root.map(Into::into),
        };
        let server = tcp("db.example.org", 5432);
        assert_eq!(
            parse("postgres://us%40er@db.example.org/as%20say"),
            Ok(url(server, "us@er", "as say", TlsMode::VerifyFull, None)),
            "nothing weaker unless it is asked for"
        );
        assert_eq!(
            parse("postgresql://a@[::1]:77/b?sslmode=verify-ca&sslrootcert=ca.pem"),
            Ok(url(
                tcp("::1", 77),
                "a",
                "b",
                TlsMode::VerifyCa,
                Some("ca.pem")
            ))
        );
        let socket = PostgresServer::Socket {
            directory: "/run/postgresql".into(),
            port: 5432,
        };
        assert_eq!(
            parse("postgres://a@/b?host=%2Frun/postgresql"),
            Ok(url(socket, "a", "b", TlsMode::Disable, None))
        );
    }

    #[test]
    fn what_is_wrong_with_a_url_is_named_and_not_repeated() {
        for (url, error) in [
            ("mysql://a@h/b", UrlError::Scheme),
            ("postgres://a:hunter2@h/b", UrlError::Password),
            ("postgres://a:hunt@er2@h/b", UrlError::Password),
            ("postgres://a@h/b?password=hunter2", UrlError::Password),
            ("postgres://a@h", UrlError::Missing("database")),
            ("postgres://a@h/", UrlError::Missing("database")),
            ("postgres://h/b", UrlError::Missing("user")),
            ("postgres://@h/b", UrlError::Missing("user")),
            ("postgres://a@/b", UrlError::Missing("host")),
            ("postgres://a@[::1/b", UrlError::Missing("host")),
            ("postgres://a@h:0/b", UrlError::Port),
            ("postgres://a@h:hunter2/b", UrlError::Port),
            ("postgres://a@[::1]5/b", UrlError::Port),
            ("postgres://a%@h/b", UrlError::Encoding),
            ("postgres://a%ff@h/b", UrlError::Encoding),
            ("postgres://a%00@h/b", UrlError::Encoding),
            ("postgres://a@h/b?x=hunter2", UrlError::Parameter(None)),
            (
                "postgres://a@h/b?sslmod=disable",
                UrlError::Parameter(Some("sslmode")),
            ),
            (
                "postgres://a@h/b?sslmode=verify_full",
                UrlError::Mode(Some("verify-full")),
            ),
            ("postgres://a@h/b?sslmode=hunter2", UrlError::Mode(None)),
            (
                "postgres://a@h/b?sslmode=require&sslmode=disable",
                UrlError::Twice("sslmode"),
            ),
            (
                "postgres://a@/b?host=/run&sslmode=require",
                UrlError::TlsOnSocket,
            ),
            (
                "postgres://a@/b?host=/run&sslrootcert=c",
                UrlError::TlsOnSocket,
            ),
            ("postgres://a@h/b?host=/run", UrlError::TwoHosts),
            ("postgres://a@/b?host=run", UrlError::Socket),
        ] {
            let told = format!("{error} {}", error.hint());
            assert!(!told.contains("hunt"), "{url}: {told}");
            assert_eq!(parse(url), Err(error), "{url}");
        }
    }
}
