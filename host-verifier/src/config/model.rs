//! The document as it is written, and the checks that turn it into a [`Config`].

use core::fmt;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use assay_common::identity::{ClusterName, TrustDomain};
use assay_common::protocol::message::MAX_CLUSTER;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_saphyr::Spanned;

use super::api;
use super::audit;
use super::clouds;
use super::datastore::{self, Datastore};
use super::listeners::Listeners;
use super::outbound;
use super::schema::{self, SpanText};
use super::svid;
use super::values::Span;
use super::{BaseCluster, BaseSource, Config, DEFAULT_LOGIN_TIMEOUT, DEFAULT_PATH_TEMPLATE};
use crate::document::{self, DocumentError, Place, Provided, Watched};
use crate::policy::{PolicyDocument, fit};
use crate::session::PathTemplate;
use crate::store::SQLITE_FILE;

const MINUTE: Duration = Duration::from_secs(60);
const SESSION_TTL: (Duration, Duration) = (MINUTE, Duration::from_secs(30 * 24 * 3600));
const DAY: Duration = Duration::from_secs(24 * 3600);
const REATTEST_AFTER: (Duration, Duration) = (MINUTE, Duration::from_secs(365 * 24 * 3600));
const LOGIN_TIMEOUT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));
const LOGINS: (usize, usize) = (1, 4096);

/// The configuration of assayd. Relative paths are looked up from its own directory.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(title = "assayd.yaml")]
pub(super) struct Root {
    /// The trust domain: identities are spiffe://TRUST_DOMAIN/….
    #[schemars(with = "String", length(min = 1, max = 255))]
    trust_domain: Spanned<String>,
    /// Where keys, the audit trail and, unless `datastore` says otherwise, the database are. Made when it is not there.
    #[schemars(with = "String", length(min = 1))]
    data_dir: Spanned<String>,
    /// Where sessions, nodes and answered challenges are kept. Default: SQLite's file in `dataDir`.
    #[schemars(with = "Option<datastore::Source>")]
    datastore: Option<Spanned<datastore::Source>>,
    /// Where agents come from.
    #[serde(default)]
    listeners: Listeners,
    /// Clusters by name, each with its AgentAttestation. What is set in the store with `assay config set` goes before it.
    #[serde(default)]
    #[schemars(schema_with = "clusters")]
    clusters: Option<Spanned<BTreeMap<String, Spanned<ClusterSource>>>>,
    /// The directory whose files documents may name that are set with `assay config set`. Without it they name none.
    #[schemars(with = "Option<String>", length(min = 1))]
    config_files: Option<Spanned<String>>,
    /// Sessions.
    #[serde(default)]
    session: Session,
    /// How much at once, and for how long.
    #[serde(default)]
    limits: Limits,
    /// Who may use the API with a client certificate.
    #[serde(default)]
    api: api::ApiSource,
    /// What methods may ask of others.
    #[serde(default)]
    outbound: outbound::Source,
    /// Clouds: whose signatures are theirs, and how their APIs are asked.
    #[serde(default)]
    clouds: clouds::Source,
    /// How the audit trail is kept.
    #[serde(default)]
    audit: audit::Source,
    /// Where the private keys of the authorities are that sign SVIDs.
    #[schemars(with = "Option<svid::KeyManager>")]
    key_manager: Option<Spanned<svid::KeyManager>>,
    /// An authority above the own ones.
    #[schemars(with = "Option<svid::Upstream>")]
    upstream_authority: Option<Spanned<svid::Upstream>>,
    /// The own authorities.
    ca: Option<svid::Ca>,
    /// What they sign.
    svid: Option<svid::Svid>,
}

fn clusters(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let cluster = schema::cluster(generator);
    schemars::json_schema!({
        "type": ["object", "null"],
        "minProperties": 1,
        "propertyNames": {"pattern": "^[A-Za-z0-9._-]+$", "maxLength": MAX_CLUSTER},
        "additionalProperties": cluster
    })
}

/// Sessions.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Session {
    /// How long a session lasts: 1m to 30d, default 1h.
    #[schemars(with = "Option<SpanText>")]
    ttl: Option<Spanned<Span>>,
    /// However often it renews, a node logs in anew after this time: 1m to 365d, default 24h.
    #[schemars(with = "Option<SpanText>")]
    reattest_after: Option<Spanned<Span>>,
    /// How a node's SPIFFE ID is made where its cluster has no SVIDIssuancePolicy. Default `/node/{{tpm_ek.public_hash}}`.
    #[schemars(with = "Option<String>", regex(pattern = "^/"))]
    path_template: Option<Spanned<String>>,
}

/// How much at once, and for how long.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Limits {
    /// Most logins at once over sockets that anybody may open. Default 64.
    #[schemars(with = "Option<usize>", range(min = 1, max = 4096))]
    logins_in_flight: Option<Spanned<usize>>,
    /// How long a login may take: 1s to 10m, default 5m.
    #[schemars(with = "Option<SpanText>")]
    login_timeout: Option<Spanned<Span>>,
    /// Of the API.
    #[serde(default)]
    api: api::LimitsSource,
}

/// A policy document, or the name of a file with one.
#[derive(Debug)]
enum ClusterSource {
    File(String),
    Inline(Arc<PolicyDocument>),
}

impl<'de> Deserialize<'de> for ClusterSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Source;
        impl<'de> Visitor<'de> for Source {
            type Value = ClusterSource;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an AgentAttestation document or the path of one")
            }

            fn visit_str<E: de::Error>(self, path: &str) -> Result<ClusterSource, E> {
                Ok(ClusterSource::File(path.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ClusterSource, A::Error> {
                PolicyDocument::deserialize(de::value::MapAccessDeserializer::new(map))
                    .map(|document| ClusterSource::Inline(Arc::new(document)))
            }
        }
        deserializer.deserialize_any(Source)
    }
}

/// What every check needs to report.
pub(super) struct Report<'a>(&'a str);

impl Report<'_> {
    pub(super) fn at<T>(&self, value: &Spanned<T>, message: impl Into<String>) -> DocumentError {
        DocumentError::new(self.0, message).at(Place::from(value.referenced))
    }

    pub(super) fn within<T: PartialOrd + Copy>(
        &self,
        value: Option<&Spanned<T>>,
        default: T,
        (low, high): (T, T),
        shown: impl Fn(T) -> String,
    ) -> Result<T, DocumentError> {
        match value {
            None => Ok(default),
            Some(value) if value.value >= low && value.value <= high => Ok(value.value),
            Some(value) => {
                let message = format!("{} is out of range", shown(value.value));
                let hint = format!("choose something from {} to {}", shown(low), shown(high));
                Err(self.at(value, message).hint(hint))
            }
        }
    }

    pub(super) fn span(
        &self,
        value: Option<&Spanned<Span>>,
        default: Duration,
        limits: (Duration, Duration),
    ) -> Result<Duration, DocumentError> {
        let plain = value.map(|v| Spanned::new(v.value.0, v.referenced, v.defined));
        self.within(plain.as_ref(), default, limits, |d| {
            format!("{}s", d.as_secs_f64())
        })
    }
}

impl Root {
    pub(super) fn check(self, file: &str, base: &Path) -> Result<Config, DocumentError> {
        let report = Report(file);
        let trust_domain = TrustDomain::parse(&self.trust_domain.value)
            .map_err(|error| {
                report
                    .at(&self.trust_domain, format!("trustDomain: {error}"))
                    .hint("a name like `example.org`, without a scheme")
            })?
            .as_str()
            .to_owned();
        if self.data_dir.value.is_empty() {
            return Err(report.at(&self.data_dir, "dataDir is empty"));
        }
        let path_template = match &self.session.path_template {
            None => PathTemplate::parse(DEFAULT_PATH_TEMPLATE)
                .map_err(|error| DocumentError::new(file, error.to_string()))?,
            Some(text) => PathTemplate::parse(&text.value).map_err(|error| {
                report
                    .at(text, format!("session.pathTemplate: {error}"))
                    .hint(format!("for example `{DEFAULT_PATH_TEMPLATE}`"))
            })?,
        };
        let data_dir = base.join(&self.data_dir.value);
        let datastore = match &self.datastore {
            None => Datastore::Sqlite {
                path: data_dir.join(SQLITE_FILE),
            },
            Some(source) => datastore::check(&report, source, base)?,
        };
        let svid = svid::Source {
            key_manager: self.key_manager.as_ref(),
            upstream: self.upstream_authority.as_ref(),
            ca: self.ca.as_ref(),
            svid: self.svid.as_ref(),
        };
        let svid = svid.check(&report, (&trust_domain, &data_dir, base))?;
        let shown = |n: usize| n.to_string();
        let http = api::Sources {
            api: self.listeners.api.as_ref(),
            health: self.listeners.health.as_ref(),
            metrics: self.listeners.metrics.as_ref(),
            settings: &self.api,
            limits: &self.limits.api,
        };
        let outbound = outbound::check(&report, &self.outbound, base)?;
        let clouds = Arc::new(clouds::check(&report, &self.clouds, base)?);
        let clusters = match &self.clusters {
            None => BTreeMap::new(),
            Some(clusters) => {
                let provided = Provided {
                    credentials: outbound.credentials.clone(),
                    clouds: clouds.clone(),
                };
                let known = (trust_domain.as_str(), &provided);
                check_clusters(&report, clusters, base, known)?
            }
        };
        let path_template_at = match (&self.session.path_template, &self.clusters) {
            (Some(text), _) => text.referenced.into(),
            (None, Some(clusters)) => clusters.referenced.into(),
            (None, None) => Place { line: 1, column: 1 },
        };
        for (name, cluster) in &clusters {
            let fit = fit::template(&cluster.policies, &path_template, path_template_at);
            if let Some(misfit) = fit.errors.into_iter().next() {
                let message = format!("cluster `{name}`: session.{}", misfit.message);
                return Err(DocumentError::new(file, message)
                    .at(misfit.at)
                    .hint(misfit.hint));
            }
        }
        let session_ttl = report.span(self.session.ttl.as_ref(), 60 * MINUTE, SESSION_TTL)?;
        let reattest_after =
            report.span(self.session.reattest_after.as_ref(), DAY, REATTEST_AFTER)?;
        if reattest_after < session_ttl {
            // One of them is given: the defaults fit.
            let place = self
                .session
                .reattest_after
                .as_ref()
                .or(self.session.ttl.as_ref());
            let error = DocumentError::new(
                file,
                "session.reattestAfter is shorter than session.ttl: no session would last as long as it says",
            );
            let error = place.map_or_else(
                || error.clone(),
                |at| error.clone().at(at.referenced.into()),
            );
            return Err(error.hint("a session ends, renewed or not, at `reattestAfter`: let it be at least `ttl`, which is 1h unless given"));
        }
        Ok(Config {
            http: api::check(&report, &http, base)?,
            data_dir,
            datastore,
            listeners: self.listeners.check(&report, base)?,
            clusters,
            config_files: self
                .config_files
                .as_ref()
                .map(|d| check_directory(&report, d, base))
                .transpose()?,
            session_ttl,
            reattest_after,
            logins_in_flight: report.within(
                self.limits.logins_in_flight.as_ref(),
                64,
                LOGINS,
                shown,
            )?,
            login_timeout: report.span(
                self.limits.login_timeout.as_ref(),
                DEFAULT_LOGIN_TIMEOUT,
                LOGIN_TIMEOUT,
            )?,
            outbound,
            clouds,
            audit: audit::check(&report, &self.audit)?,
            trust_domain,
            path_template,
            path_template_at,
            file: file.to_owned(),
            svid,
        })
    }
}

/// A directory that is there: one that is misspelt would refuse every file, later.
fn check_directory(
    report: &Report<'_>,
    directory: &Spanned<String>,
    base: &Path,
) -> Result<PathBuf, DocumentError> {
    let path = base.join(&directory.value);
    if directory.value.is_empty() || !path.is_dir() {
        let message = format!("configFiles: {} is not a directory", path.display());
        return Err(report.at(directory, message).hint(
            "make it and put the certificates there that documents set with `assay config set` may name, or leave the field out",
        ));
    }
    Ok(path)
}

fn check_clusters(
    report: &Report<'_>,
    clusters: &Spanned<BTreeMap<String, Spanned<ClusterSource>>>,
    base: &Path,
    (trust_domain, provided): (&str, &Provided),
) -> Result<BTreeMap<String, BaseCluster>, DocumentError> {
    if clusters.value.is_empty() {
        return Err(report
            .at(clusters, "no clusters")
            .hint("name a cluster and the AgentAttestation document that says who may join it, or leave the field out and use `assay config set`"));
    }
    let mut checked = BTreeMap::new();
    for (name, source) in &clusters.value {
        ClusterName::parse(name)
            .map_err(|error| report.at(source, format!("cluster `{name}`: {error}")))?;
        let whole = |document: &Arc<PolicyDocument>, file: &str, base: &Path| BaseSource {
            document: document.clone(),
            file: file.to_owned(),
            directory: base.to_owned(),
            trust_domain: trust_domain.to_owned(),
            provided: provided.clone(),
            watched: Watched::default(),
        };
        let (built, origin, document) = match &source.value {
            ClusterSource::Inline(document) => {
                let Place { line, column } = source.referenced.into();
                let origin = format!("{}:{line}:{column}", report.0);
                (whole(document, report.0, base), origin, None)
            }
            ClusterSource::File(path) => {
                let path = base.join(path);
                let text = document::read_named(&path)
                    .map_err(|error| {
                        report
                            .at(source, format!("cluster `{name}`: {error}"))
                            .hint("name a document of section AgentAttestation; a relative path is looked up from this file's directory")
                    })?;
                let file = path.display().to_string();
                let base = path.parent().unwrap_or(Path::new(""));
                let document = Arc::new(PolicyDocument::parse(&file, &text)?);
                (whole(&document, &file, base), file, Some(text))
            }
        };
        let cluster = BaseCluster {
            policies: Arc::new(built.build(&built.watched)?),
            origin,
            document,
            source: Some(Arc::new(built)),
        };
        checked.insert(name.clone(), cluster);
    }
    Ok(checked)
}
