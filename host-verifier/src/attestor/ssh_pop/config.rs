//! Settings of `ssh_pop`, and the attestor made from them.

use std::{collections::BTreeSet, sync::Arc};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{SshPop, verify::Rules};
use crate::{
    attestor::{Attestor, ConfigError, MethodConfig},
    crypto::{Known, Seen},
    document::Files,
    ssh::{HostKey, Krl, krl::MAX_KRL_LEN, signature::is_strong},
};

/// Longest file of authorities, bytes.
const MAX_AUTHORITIES_LEN: usize = 256 * 1024;

/// `config:` of an `ssh_pop` entry.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[schemars(rename = "ssh_pop")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// Keys of authorities, as lines of `.pub` files.
    pub cert_authorities: Option<Vec<String>>,
    /// A file with such lines.
    pub cert_authorities_file: Option<String>,
    /// The domain that every principal lies below.
    pub canonical_domain: Option<String>,
    /// Key revocation lists as `ssh-keygen -k` makes them: paths.
    pub krls: Option<Vec<String>>,
    /// Serial numbers that no longer count.
    pub revoked_serials: Option<Vec<u64>>,
    /// Key ids that no longer count.
    pub revoked_key_ids: Option<Vec<String>>,
    /// Accept RSA signatures with SHA-1 (`ssh-rsa`).
    #[serde(default, rename = "danger_allow_sha1")]
    pub danger_allow_sha1: bool,
}

impl MethodConfig for Config {
    fn build_in(&self, files: Files<'_>) -> Result<Arc<dyn Attestor>, ConfigError> {
        self.attestor(files)
            .map(|attestor| Arc::new(attestor) as Arc<dyn Attestor>)
    }
}

impl Config {
    /// Checks the meaning of the settings and reads the files they name.
    ///
    /// # Errors
    /// [`ConfigError`]: no authority, a list that is empty or cannot be read, a domain that is none.
    pub fn attestor(&self, files: Files<'_>) -> Result<SshPop, ConfigError> {
        let mut authorities = Vec::new();
        if let Some(lines) = non_empty("certAuthorities", self.cert_authorities.as_deref())? {
            for (i, line) in lines.iter().enumerate() {
                authorities.push(authority(&format!("certAuthorities[{i}]"), line)?);
            }
        }
        if let Some(name) = &self.cert_authorities_file {
            const FIELD: &str = "certAuthoritiesFile";
            let text = String::from_utf8(read(FIELD, name, MAX_AUTHORITIES_LEN, files)?)
                .map_err(|_| error(FIELD, &format!("{name}: not UTF-8")))?;
            let before = authorities.len();
            for (number, line) in (1..).zip(text.lines()) {
                let line = line.trim();
                if !line.is_empty() && !line.starts_with('#') {
                    authorities.push(authority(&format!("{FIELD}, {name}:{number}"), line)?);
                }
            }
            if authorities.len() == before {
                return Err(error(FIELD, &format!("{name}: no key in it")));
            }
        }
        if authorities.is_empty() {
            return Err(ConfigError {
                hint: Some("give the lines of the authorities' .pub files".into()),
                ..error(
                    "certAuthorities",
                    "neither certAuthorities nor certAuthoritiesFile is given, so no host could be let in",
                )
            });
        }
        let mut krls = Vec::new();
        if let Some(names) = non_empty("krls", self.krls.as_deref())? {
            for (i, name) in names.iter().enumerate() {
                let field = format!("krls[{i}]");
                let bytes = read(&field, name, MAX_KRL_LEN, files)?;
                krls.push(Krl::from_bytes(&bytes).map_err(|why| ConfigError {
                    hint: Some("make it with `ssh-keygen -k -f FILE`".into()),
                    ..error(&field, &format!("{name}: {why}"))
                })?);
            }
        }
        let serials = non_empty("revokedSerials", self.revoked_serials.as_deref())?;
        let key_ids = non_empty("revokedKeyIds", self.revoked_key_ids.as_deref())?;
        Ok(SshPop(Rules {
            authorities,
            domain: self.canonical_domain.as_deref().map(domain).transpose()?,
            krls,
            revoked_serials: serials
                .into_iter()
                .flatten()
                .copied()
                .collect::<BTreeSet<_>>(),
            revoked_key_ids: key_ids
                .into_iter()
                .flatten()
                .cloned()
                .collect::<BTreeSet<_>>(),
            danger_allow_sha1: self.danger_allow_sha1,
            seen: Seen::default(),
            known: Known::default(),
        }))
    }
}

fn authority(field: &str, line: &str) -> Result<HostKey, ConfigError> {
    let key = HostKey::from_line(line).map_err(|why| ConfigError {
        hint: Some("give the line of a .pub file, without options in front".into()),
        ..error(field, &why.to_string())
    })?;
    if !is_strong(key.key()) {
        let bits = key.key().bits();
        return Err(error(
            field,
            &format!("RSA of {bits} bits: 2048 to 8192 are let in"),
        ));
    }
    Ok(key)
}

fn domain(name: &str) -> Result<String, ConfigError> {
    let name = name.strip_prefix('.').unwrap_or(name).to_ascii_lowercase();
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    if name.split('.').all(is_label) {
        Ok(name)
    } else {
        Err(ConfigError {
            hint: Some("give it as `example.org`".into()),
            ..error("canonicalDomain", &format!("{name:?} is not a domain"))
        })
    }
}

fn non_empty<'a, T>(field: &str, list: Option<&'a [T]>) -> Result<Option<&'a [T]>, ConfigError> {
    match list {
        Some([]) => Err(ConfigError {
            hint: Some("give an entry, or remove the field".into()),
            ..error(field, "the list is empty")
        }),
        list => Ok(list),
    }
}

fn read(field: &str, name: &str, max: usize, files: Files<'_>) -> Result<Vec<u8>, ConfigError> {
    use std::io::Read as _;
    let path = files.path(name).map_err(|why| ConfigError {
        hint: Some(why.hint().into()),
        ..error(field, &why.to_string())
    })?;
    let fail = |why: std::io::Error| ConfigError {
        hint: Some("give the path of a file, looked up beside this document".into()),
        ..error(field, &format!("{name}: {why}"))
    };
    let mut bytes = Vec::new();
    std::fs::File::open(&path)
        .and_then(|file| file.take(max as u64 + 1).read_to_end(&mut bytes))
        .map_err(fail)?;
    if bytes.len() > max {
        return Err(error(field, &format!("{name}: longer than {max} bytes")));
    }
    Ok(bytes)
}

fn error(field: &str, message: &str) -> ConfigError {
    ConfigError {
        field: field.into(),
        message: message.into(),
        hint: None,
    }
}
