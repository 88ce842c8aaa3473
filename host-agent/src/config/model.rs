//! The document as it is written, and the checks that turn it into a [`Config`].

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use assay_common::identity::provisioning::{KEY_LEN, MAX_RECORD};
use assay_common::identity::{ClusterName, Provisioning, TrustDomain};
use assay_common::policy::{AttestorKind, AttestorSet};
use assay_common::protocol::message::MAX_ITEMS;
use assay_host::document::{self, DocumentError, Place};
use assay_host::http::Roots;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::attestors::Entry;
use super::outputs;
use super::workloads;
use super::{Attestor, Config, DEFAULT_TCTI, Overrides};

/// The document. Its `agent.auth` is that of the Helm values.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Root {
    agent: Spanned<Agent>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Agent {
    auth: Spanned<Auth>,
    trust_domain: Option<Spanned<String>>,
    provisioning_record: Option<Spanned<PathBuf>>,
    #[serde(default)]
    server: Server,
    #[serde(default)]
    tpm: Tpm,
    key_file: Option<PathBuf>,
    output: Option<Spanned<outputs::Source>>,
    workload_api: Option<Spanned<workloads::Source>>,
    health: Option<Health>,
    metrics: Option<Metrics>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Auth {
    cluster_id: Option<Spanned<String>>,
    cluster_name: Option<Spanned<String>>,
    attestors: Spanned<Vec<Entry>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Server {
    addresses: Option<Spanned<Vec<Spanned<String>>>>,
    ca: Option<PathBuf>,
    verifier_key: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tpm {
    tcti: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Health {
    address: SocketAddr,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metrics {
    address: Spanned<SocketAddr>,
}

/// Counts say what a node has, and nobody shows who asks: they are for those on the machine.
fn metrics(report: &Report, source: Option<Metrics>) -> Result<Option<SocketAddr>, DocumentError> {
    let Some(Metrics { address }) = source else {
        return Ok(None);
    };
    match address.value.ip().to_canonical().is_loopback() {
        true => Ok(Some(address.value)),
        false => Err(report
            .error(address.referenced, "`metrics.address` is not on the loopback")
            .hint("e.g. 127.0.0.1:9989; have whoever collects run on the machine, or forward it over what you trust")),
    }
}

/// Errors of one file.
struct Report(String);

impl Report {
    fn error(&self, at: impl Into<Place>, message: impl Into<String>) -> DocumentError {
        DocumentError::new(self.0.clone(), message).at(at.into())
    }
}

/// What ties a node to its verifier, wherever it was said.
#[derive(Default)]
struct Ties {
    cluster: Option<String>,
    trust_domain: Option<String>,
    verifier_key: Option<[u8; KEY_LEN]>,
}

/// A configuration that may lack what ties the node to its verifier, and why it does.
pub(super) struct Parsed {
    /// All else. What is not known is empty.
    pub(super) config: Config,
    /// Why there is no login with it.
    pub(super) untied: Option<DocumentError>,
}

pub(super) fn parse(
    path: &Path,
    text: &str,
    overrides: &Overrides,
) -> Result<Parsed, DocumentError> {
    let file = path.display().to_string();
    let Root { agent } = document::parse(&file, text).map_err(|error| match &error.message {
        message if message == document::NOTHING => {
            error.hint("begin with `agent:`, and `auth:` below it")
        }
        _ => error,
    })?;
    let report = Report(file);
    let base = path.parent().unwrap_or(Path::new(""));
    let top: Place = agent.referenced.into();
    let agent = agent.value;
    let auth = agent.auth.value;
    let mut untied = None;
    let mut missing = |error| {
        untied.get_or_insert(error);
    };
    let record = ties(&report, base, agent.provisioning_record.as_ref(), overrides);
    let record = record.unwrap_or_else(|error| {
        missing(error);
        Ties::default()
    });
    let cluster = cluster(&report, agent.auth.referenced.into(), &auth, &record);
    let trust_domain = trust_domain(&report, top, agent.trust_domain.as_ref(), &record);
    let verifier_key = key(&report, top, agent.server.verifier_key.as_ref(), &record);
    let cluster = cluster.map_err(&mut missing).unwrap_or_default();
    let trust_domain = trust_domain.map_err(&mut missing).unwrap_or_default();
    let verifier_key = verifier_key.map_err(&mut missing).unwrap_or([0; KEY_LEN]);
    let servers = servers(&report, top, agent.server.addresses.as_ref(), overrides)?;
    let roots = match (&overrides.ca, agent.server.ca) {
        (Some(ca), _) => Roots::File(ca.clone()),
        (None, Some(ca)) => Roots::File(base.join(ca)),
        (None, None) => Roots::System,
    };
    let tcti = match agent.tpm.tcti {
        None => DEFAULT_TCTI.to_owned(),
        Some(tcti) if tcti.value.is_empty() => {
            return Err(report
                .error(tcti.referenced, "`tcti` is empty")
                .hint("name the way to the TPM, e.g. device:/dev/tpmrm0"));
        }
        Some(tcti) => tcti.value,
    };
    let outputs = agent.output.map(|source| {
        let at = source.referenced;
        source.value.check(base).map_err(|what| {
            report
                .error(at, what)
                .hint("take the last digit of `keyMode` back to 0; let a group read it")
        })
    });
    let workload_api = agent.workload_api.map(|source| {
        let checked = source.value.check(base);
        checked.map_err(|(what, hint, at)| report.error(at, what).hint(hint))
    });
    let config = Config {
        file: path.to_owned(),
        cluster,
        trust_domain,
        verifier_key,
        servers,
        roots,
        attestors: attestors(&report, auth.attestors)?,
        tcti,
        key_file: agent.key_file.map(|file| base.join(file)),
        outputs: outputs.transpose()?,
        workload_api: workload_api.transpose()?,
        health: agent.health.map(|health| health.address),
        metrics: metrics(&report, agent.metrics)?,
    };
    Ok(Parsed { config, untied })
}

fn ties(
    report: &Report,
    base: &Path,
    named: Option<&Spanned<PathBuf>>,
    overrides: &Overrides,
) -> Result<Ties, DocumentError> {
    let (path, at) = match (&overrides.record, named) {
        (Some(path), _) => (path.clone(), None),
        (None, Some(named)) => (base.join(&named.value), Some(named.referenced)),
        (None, None) => {
            return Ok(Ties::default());
        }
    };
    let unusable = |why: &dyn core::fmt::Display| {
        let what = format!("{}: {why}", path.display());
        let error = match at {
            Some(at) => report.error(at, what),
            None => DocumentError::new("the provisioning record", what),
        };
        error.hint("`assay provision record` writes one; copy it here as it is")
    };
    let bytes = std::fs::read(&path).map_err(|error| unusable(&error))?;
    let bytes = bytes.get(..MAX_RECORD).unwrap_or(&bytes);
    let (record, pins) = Provisioning::read_pinned(bytes).map_err(|error| unusable(&error))?;
    // What it promises would not be kept.
    if !pins.ek_name.is_empty() || !pins.secret.is_empty() {
        let why = "it pins a TPM or has a secret, which boards hold to and this agent does not";
        return Err(unusable(&why).hint("make one without `--ek-name` and `--new-secret`"));
    }
    let key = record.verifier_key.try_into();
    Ok(Ties {
        cluster: Some(record.cluster.to_owned()),
        trust_domain: Some(record.trust_domain.to_owned()),
        verifier_key: Some(key.map_err(|_| unusable(&"a key of another length"))?),
    })
}

/// What two places say must be the same: whoever copies a record to the wrong node is told so, and not refused later.
fn differs(report: &Report, at: impl Into<Place>, field: &str) -> DocumentError {
    report
        .error(
            at,
            format!("`{field}` is not that of the provisioning record"),
        )
        .hint("this file or the record is another node's: correct it, or leave the field out")
}

fn cluster(
    report: &Report,
    at: Place,
    auth: &Auth,
    record: &Ties,
) -> Result<String, DocumentError> {
    let named = match (&auth.cluster_id, &auth.cluster_name) {
        (Some(cluster), None) | (None, Some(cluster)) => cluster,
        (Some(_), Some(name)) => {
            return Err(report
                .error(
                    name.referenced,
                    "both `clusterId` and `clusterName` are given",
                )
                .hint("remove one of them"));
        }
        (None, None) => {
            return record.cluster.clone().ok_or_else(|| {
                report
                    .error(at, "no cluster is named")
                    .hint("add `clusterId: NAME` below `auth`")
            });
        }
    };
    ClusterName::parse(&named.value).map_err(|why| {
        report
            .error(named.referenced, format!("{:?}: {why}", named.value))
            .hint("use the name that the verifier's configuration has")
    })?;
    match &record.cluster {
        Some(other) if *other != named.value => Err(differs(report, named.referenced, "clusterId")),
        _ => Ok(named.value.clone()),
    }
}

fn trust_domain(
    report: &Report,
    at: Place,
    named: Option<&Spanned<String>>,
    record: &Ties,
) -> Result<String, DocumentError> {
    let Some(named) = named else {
        return record.trust_domain.clone().ok_or_else(|| {
            report
                .error(at, "no trust domain is named")
                .hint("add `trustDomain: NAME` below `agent`, or name a `provisioningRecord`")
        });
    };
    TrustDomain::parse(&named.value).map_err(|why| {
        report
            .error(named.referenced, format!("{:?}: {why}", named.value))
            .hint("write it as the verifier's `trustDomain`, without `spiffe://`")
    })?;
    match &record.trust_domain {
        Some(other) if *other != named.value => {
            Err(differs(report, named.referenced, "trustDomain"))
        }
        _ => Ok(named.value.clone()),
    }
}

/// There is no trust on first use: without a pinned key there is no login.
fn key(
    report: &Report,
    at: Place,
    named: Option<&Spanned<String>>,
    record: &Ties,
) -> Result<[u8; KEY_LEN], DocumentError> {
    let Some(named) = named else {
        return record.verifier_key.ok_or_else(|| {
            report
                .error(at, "no key of the verifier is pinned")
                .hint("add `verifierKey` below `server`: `challengeKey.sec1` of the verifier's /v1/bundle; or name a `provisioningRecord`")
        });
    };
    let mut key = [0; KEY_LEN];
    let decoded = hex::decode_to_slice(&named.value, &mut key);
    if decoded.is_err() || key.first() != Some(&4) {
        return Err(report
            .error(
                named.referenced,
                "not an uncompressed P-256 point of 130 hex digits",
            )
            .hint("it is printed by `assay provision record`, and begins with 04"));
    }
    match &record.verifier_key {
        Some(other) if *other != key => Err(differs(report, named.referenced, "verifierKey")),
        _ => Ok(key),
    }
}

fn servers(
    report: &Report,
    at: Place,
    named: Option<&Spanned<Vec<Spanned<String>>>>,
    overrides: &Overrides,
) -> Result<Vec<String>, DocumentError> {
    const HINT: &str = "e.g. https://assay.example.org:8443";
    if !overrides.servers.is_empty() {
        let wrong = |why| DocumentError::new("--server", why).hint(HINT);
        let servers = overrides.servers.iter();
        return servers.map(|text| server(text).map_err(wrong)).collect();
    }
    let named = named.filter(|list| !list.value.is_empty()).ok_or_else(|| {
        report
            .error(
                named.map_or(at, |list| list.referenced.into()),
                "no verifier is named",
            )
            .hint("list at least one URL under `addresses` below `server`, or give --server")
    })?;
    let servers = named.value.iter();
    servers
        .map(|one| server(&one.value).map_err(|why| report.error(one.referenced, why).hint(HINT)))
        .collect()
}

/// A verifier's address without a slash at its end.
fn server(text: &str) -> Result<String, &'static str> {
    let uri: hyper::Uri = text.parse().map_err(|_| "this is no URL")?;
    if uri.scheme_str() != Some("https") {
        return Err("the URL begins with https://");
    }
    let plain = uri.path_and_query().is_none_or(|path| path.as_str() == "/");
    let authority = uri.authority().map(hyper::http::uri::Authority::as_str);
    if !plain || authority.is_none_or(|authority| authority.contains('@')) {
        return Err("the URL has a host and a port, and nothing else");
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn attestors(report: &Report, list: Spanned<Vec<Entry>>) -> Result<Vec<Attestor>, DocumentError> {
    if list.value.is_empty() {
        return Err(report
            .error(list.referenced, "`attestors` is empty")
            .hint("list at least one method that this node can prove"));
    }
    let mut seen = AttestorSet::EMPTY;
    let mut attestors = Vec::new();
    for Entry { kind, config } in list.value {
        let (kind, at) = (kind.value.0, kind.referenced);
        if seen.contains(kind) {
            return Err(report
                .error(at, format!("`{kind}` is offered twice"))
                .hint("remove one of them"));
        }
        // The session's and the SVID's key travel as items of the same message.
        if attestors.len() == MAX_ITEMS {
            return Err(report
                .error(at, format!("more than {MAX_ITEMS} methods"))
                .hint("offer those that a policy of the cluster asks for"));
        }
        seen = seen.with(kind);
        attestors.push(Attestor { kind, config });
    }
    let quotes = seen.contains(AttestorKind::TPM_QUOTE);
    let keys = AttestorSet::EMPTY
        .with(AttestorKind::TPM_EK)
        .with(AttestorKind::TPM_DEVID);
    if quotes && seen.intersection(keys).is_empty() {
        return Err(report
            .error(
                list.referenced,
                "`tpm_quote` without the key that it is made with",
            )
            .hint("offer `tpm_ek` or `tpm_devid` beside it"));
    }
    Ok(attestors)
}
