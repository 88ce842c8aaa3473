//! `assay audit`: what was decided and done, and whether the trail of it is whole.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use assay_common::policy::AttestorKind;
use clap::Subcommand;
use serde::Serialize;
use serde_json::{Map, Value};

use super::audit_place::{Place, Records, Trail, found, last};
use super::evidence::methods;
use super::format::Format;
use super::service::{Failure, block_on, finish, table};
use super::stored::whole;
use super::{audit_export, audit_rotate, mends};
use crate::attestor::documented;
use crate::attestor::tpm_quote::files::{Evidence, FilesError, Piece};
use crate::audit::found::LATER;
use crate::audit::kept::Said;
use crate::audit::{self, Head, VerifyError};
use crate::store::node_without_tpm;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Whether the trail is as it was written, from the first record to the last
    ///
    /// Prints the head: number and hash of the last record. Keep it somewhere else, and give it back with --head, and a
    /// trail that was cut off or written anew is found too.
    Verify {
        /// Which trail
        #[command(flatten)]
        place: Place,
        /// A head that an earlier run printed; may be repeated
        #[arg(long, value_name = "NUMBER:HASH")]
        head: Vec<Head>,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
    /// The last decisions and operators' acts, the newest first
    List {
        /// Which trail
        #[command(flatten)]
        trail: Trail,
        /// At most this many
        #[arg(long, default_value_t = 20)]
        limit: usize,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
    /// The evidence of one login as files that `assay evidence verify` and tpm2-tools read
    ///
    /// attest.bin, signature.bin, ak.pub, ek.pub, ek.name.hex, ek.der, pcrs.txt, pcrs.bin, nonce.hex of a quote; METHOD.payload of x509pop,
    /// ssh_pop, custom_jwt, k8s_token, tpm_devid and the methods of the clouds, with METHOD.nonce.hex where the method has a nonce
    /// and METHOD.answers.json where a cloud was asked; record.json: what was judged then can be judged again, here or elsewhere.
    /// The files are for their owner alone: a token in them lets its reader in.
    Evidence {
        /// The login, 32 hex digits
        login: String,
        /// Where the files go
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Which trail
        #[command(flatten)]
        place: Place,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
    /// Closes the file that is written and begins the next; the chain goes on
    Rotate(audit_rotate::Options),
    /// Records for other systems
    Export(audit_export::Options),
    /// The records of one login, with every step and the evidence
    Show {
        /// The login, 32 hex digits
        login: String,
        /// Which trail
        #[command(flatten)]
        place: Place,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
}

#[derive(Debug, Serialize)]
struct Verified {
    records: u64,
    files: usize,
    head: String,
    /// The last record that retention removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    removed_before: Option<String>,
    unfinished_bytes: u64,
}

/// Runs a command.
#[must_use]
pub fn run(command: Command) -> ExitCode {
    match command {
        Command::Verify {
            place,
            head,
            format,
        } => {
            let result = verify(&place, &head);
            finish(format, result, |verified| {
                let records = match verified.records {
                    1 => "1 record".to_owned(),
                    number => format!("{number} records"),
                };
                let mut text = format!("whole: {records}, head {}", verified.head);
                if verified.files > 1 {
                    text += &format!("\nin {} files", verified.files);
                }
                if let Some(removed) = &verified.removed_before {
                    text += &format!("\nbegins behind {removed}, up to which retention removed it");
                }
                if verified.unfinished_bytes > 0 {
                    text += &format!(
                        "\n{} bytes of an unfinished record behind it, which assayd removes when it starts",
                        verified.unfinished_bytes
                    );
                }
                text
            })
        }
        Command::List {
            trail,
            limit,
            format,
        } => {
            let last = match trail.reach() {
                Ok(Records::Api(remote)) => block_on(super::trail::last(&remote, limit)),
                Ok(Records::File(path)) => last(&path, limit).map(Vec::from),
                Err(failure) => Err(failure),
            };
            let result = last.map(|last| last.iter().map(summary).collect::<Vec<_>>());
            finish(format, result, |records| {
                let cell = |record: &Map<String, Value>, name: &str| {
                    let text = record.get(name).and_then(Value::as_str);
                    text.unwrap_or("-").to_owned()
                };
                let rows = records.iter().map(|record| {
                    let (time, outcome) = (cell(record, "time"), cell(record, "outcome"));
                    if let Some((who, on_what)) = act(record) {
                        return [time, outcome, cell(record, "action"), who, on_what];
                    }
                    let why = match record.get("policy") {
                        Some(_) => cell(record, "policy"),
                        None => cell(record, "code"),
                    };
                    let identity = cell(record, "spiffe_id");
                    [time, outcome, why, cell(record, "login_id"), identity]
                });
                table(["TIME", "OUTCOME", "WHY", "LOGIN OR WHO", "IDENTITY"], rows)
            })
        }
        Command::Evidence {
            login,
            out,
            place,
            format,
        } => {
            let record = place.path().and_then(|path| decided(&path, &login));
            let result = record.and_then(|record| extract(&record, &out, place.config()));
            finish(format, result, |written| {
                let told = format!("{}: evidence of login {}", written.folder, written.login_id);
                match &written.nonce {
                    Some(nonce) => format!("{told}, nonce {nonce}"),
                    None => format!("{told}: {}", written.files.join(", ")),
                }
            })
        }
        Command::Rotate(options) => audit_rotate::run(&options),
        Command::Export(options) => audit_export::run(&options),
        Command::Show {
            login,
            place,
            format,
        } => finish(format, find(&place, &login), |records| {
            let all = records.iter().map(text);
            all.collect::<Vec<_>>().join("\n\n")
        }),
    }
}

/// The record that decided a login, with those that came later.
fn decided(active: &Path, login: &str) -> Result<Map<String, Value>, Failure> {
    let record = found(active, &login.to_lowercase())?.into_record();
    let record = record.map_err(|error| Failure::failed(error.to_string()))?;
    record.ok_or_else(|| {
        Failure::failed(format!("there is no login {login}"))
            .hint("`assay audit list` shows the last ones")
    })
}

/// The records of a login, the one that decided it first.
fn find(place: &Place, login: &str) -> Result<Vec<Map<String, Value>>, Failure> {
    let mut record = decided(&place.path()?, login)?;
    let later = super::stored::later(&record);
    record.remove(LATER);
    Ok([vec![record], later].concat())
}

#[derive(Debug, Serialize)]
struct Written {
    login_id: String,
    folder: String,
    /// The quote's; `None` where the login has none.
    nonce: Option<String>,
    files: Vec<String>,
}

/// The evidence of a login, as files.
pub(super) struct EvidenceFiles {
    /// The quote's nonce; `None` where the login has no quote.
    pub(super) nonce: Option<String>,
    /// By name.
    pub(super) files: Vec<(String, Vec<u8>)>,
}

/// The evidence in a record. What is sealed in it is opened with the key of this configuration.
pub(super) fn evidence_of(
    record: &Map<String, Value>,
    config: Option<&Path>,
) -> Result<EvidenceFiles, Failure> {
    let kept = whole(record, config)?;
    let pieces = kept.said.iter().filter_map(|said| match said {
        Said::Blob(number, bytes) => Some(Piece::Blob((*number).into(), bytes)),
        Said::Agent(bytes) => Some(Piece::Agent(bytes)),
        Said::Verifier(bytes) => Some(Piece::Verifier(bytes)),
        Said::Outside(_) => None,
    });
    let mut files = methods::files(&kept.said);
    let nonce = match Evidence::of(pieces) {
        Ok(evidence) => {
            let quote = evidence.files().into_iter();
            files.splice(0..0, quote.map(|(name, bytes)| (name.to_owned(), bytes)));
            Some(hex::encode(evidence.nonce))
        }
        // What its methods sent stands in the record, which can be judged again as a whole.
        Err(FilesError::NoQuote) => None,
        Err(error) => return Err(Failure::failed(error.to_string())),
    };
    Ok(EvidenceFiles { nonce, files })
}

fn extract(
    record: &Map<String, Value>,
    out: &Path,
    config: Option<&Path>,
) -> Result<Written, Failure> {
    let EvidenceFiles { nonce, mut files } = evidence_of(record, config)?;
    let whole = serde_json::to_vec(record).map_err(|e| Failure::failed(e.to_string()))?;
    files.push((super::stored::RECORD.to_owned(), whole));
    let failed = |path: &Path, error: std::io::Error| {
        Failure::failed(format!("{}: {error}", path.display()))
    };
    std::fs::create_dir_all(out).map_err(|error| failed(out, error))?;
    for (name, bytes) in &files {
        let path = out.join(name);
        write_private(&path, bytes).map_err(|error| failed(&path, error))?;
    }
    let login = record.get("login_id").and_then(Value::as_str);
    Ok(Written {
        login_id: login.unwrap_or_default().to_owned(),
        folder: out.display().to_string(),
        nonce,
        files: files.into_iter().map(|(name, _)| name).collect(),
    })
}

/// For its owner alone: some methods' proofs let in whoever reads them. What is there already is replaced, and keeps no mode of
/// its own.
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)?.write_all(bytes)
}

fn verify(place: &Place, heads: &[Head]) -> Result<Verified, Failure> {
    let files = place.open()?;
    let count = files.len();
    match audit::verify::verify_files(files, heads) {
        Ok(summary) => Ok(Verified {
            records: summary.head.seq - summary.base.seq,
            files: count,
            head: summary.head.to_string(),
            removed_before: (summary.base != Head::default()).then(|| summary.base.to_string()),
            unfinished_bytes: summary.unfinished,
        }),
        Err((path, error)) => {
            let hint = match error {
                VerifyError::Removed(_) => "verify it on a copy from before, or give a newer head",
                _ => "keep the file as it is and compare it with a copy",
            };
            let message = format!("{}: {}: {error}", error.check(), path.display());
            Err(Failure::failed(message).hint(hint))
        }
    }
}

/// Of an operator's act: who, and on what.
fn act(record: &Map<String, Value>) -> Option<(String, String)> {
    let pair = |member: &str, first: &str, second: &str| {
        let object = record.get(member)?;
        let of = |name: &str| object.get(name).and_then(Value::as_str);
        let first = of(first).unwrap_or("-");
        Some(match of(second) {
            Some(second) => format!("{first} {second}"),
            None => first.to_owned(),
        })
    };
    let on_what = pair("target", "kind", "id").unwrap_or_else(|| "-".to_owned());
    Some((pair("actor", "kind", "id")?, on_what))
}

/// Without what makes a record long.
fn summary(record: &Map<String, Value>) -> Map<String, Value> {
    let long = [
        "evidence",
        "steps",
        "explanation",
        "attributes",
        "judged_by",
        "prev",
        "v",
    ];
    let members = record.iter();
    members
        .filter(|(name, _)| !long.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// What a record's `ek_hash` is of: a node without a TPM has no EK, and is known by a hash over its SPIFFE ID.
pub(super) fn node_label(record: &Map<String, Value>) -> &'static str {
    let of = |name: &str| record.get(name).and_then(Value::as_str);
    let by_name = of("spiffe_id").map(node_without_tpm);
    match by_name.is_some() && by_name.as_deref() == of("ek_hash") {
        true => "node",
        false => "ek_hash",
    }
}

/// For people: members, then steps; the evidence by its size.
fn text(record: &Map<String, Value>) -> String {
    let mut lines = Vec::new();
    let shown = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    for (name, value) in summary(record) {
        match (name.as_str(), &value) {
            ("ek_hash", value) => {
                lines.push(format!("{:<11} {}", node_label(record), shown(value)))
            }
            // As `assay node ban --identity` and `assay node evict --identity` take it.
            ("identities", Value::Object(names)) => {
                let names = names.iter();
                let names = names.map(|(method, name)| format!("{method}={}", shown(name)));
                lines.extend(names.map(|name| format!("{:<11} {name}", "identity")));
            }
            (name, value) => lines.push(format!("{name:<11} {}", shown(value))),
        }
    }
    let attributes = record.get("attributes").and_then(Value::as_object);
    for (name, value) in attributes.into_iter().flatten() {
        lines.push(format!("  {name} = {}", shown(value)));
    }
    let list = |name: &str| {
        record
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let mut hints = BTreeSet::new();
    for step in list("steps") {
        let of = |name: &str| step.get(name).and_then(Value::as_str).unwrap_or_default();
        lines.push(format!(
            "  {:<6} {:<10} {:<10} {}",
            of("outcome"),
            of("step"),
            of("method"),
            of("detail")
        ));
        hints.extend(mend(of("outcome"), of("method"), of("detail")));
    }
    for sent in list("evidence") {
        let of = |name: &str| sent.get(name).and_then(Value::as_str).unwrap_or_default();
        let (from, kind) = (of("from"), of("kind"));
        lines.push(match sent.get("len").and_then(Value::as_u64) {
            Some(len) if sent.get("sealed").is_some() => {
                format!("  {from:<8} {kind}, {len} bytes, sealed")
            }
            Some(len) => match of("sha256") {
                "" => format!("  {from:<8} {kind}, {len} bytes"),
                hash => format!("  {from:<8} {kind}, {len} bytes with SHA-256 {hash}"),
            },
            None => format!(
                "  {from:<8} {kind}, about {} bytes",
                of("base64").len() / 4 * 3
            ),
        });
    }
    lines.extend(hints);
    lines.join("\n")
}

/// What to do about a step that failed: its detail begins with the check.
fn mend(outcome: &str, method: &str, detail: &str) -> Option<String> {
    let kind = AttestorKind::from_name(method).filter(|_| outcome == "failed")?;
    // Records of earlier releases have `outside` in front of the check.
    let own = detail.strip_prefix("outside: ").unwrap_or(detail);
    let known = own
        .split_once(": ")
        .filter(|(check, _)| documented::check(kind, check).is_some());
    let (check, _) = known.or_else(|| detail.split_once(": "))?;
    Some(format!("hint: {check}: {}", mends::of(kind, check)))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::{extract, mend, text};
    use crate::store::node_without_tpm;

    #[test]
    fn a_node_is_called_by_what_its_methods_call_it() {
        let id = "spiffe://example.org/aws/i-0123456789abcdef0";
        let hash = node_without_tpm(id);
        let record = |hash: &str| {
            serde_json::json!({
                "login_id": "00", "outcome": "granted", "spiffe_id": id, "ek_hash": hash,
                "identities": {"aws_iid": "aws:aws:123456789012:eu-west-1:i-0123456789abcdef0"},
            })
        };
        let shown = text(record(&hash).as_object().unwrap());
        assert!(!shown.contains("ek_hash"), "{shown}");
        let lines: Vec<_> = shown.lines().collect();
        assert!(
            lines.contains(&format!("node        {hash}").as_str()),
            "{shown}"
        );
        let named = "identity    aws_iid=aws:aws:123456789012:eu-west-1:i-0123456789abcdef0";
        assert!(lines.contains(&named), "{shown}");
        // A node with a TPM is known by its EK.
        let ek = "ab".repeat(32);
        let shown = text(record(&ek).as_object().unwrap());
        assert!(shown.contains(&format!("ek_hash     {ek}")), "{shown}");
    }

    #[test]
    fn a_login_without_a_quote_is_its_record() {
        let record = serde_json::json!({
            "login_id": "00", "time": "2026-11-22T12:00:00Z", "steps": [],
            "evidence": [{"from": "agent", "kind": "blob 0", "base64": "AAAA"}],
        });
        let record = record.as_object().unwrap();
        let out = tempfile::tempdir().unwrap();
        let written = extract(record, out.path(), None).map_err(drop).unwrap();
        assert_eq!(
            (written.nonce, written.files),
            (None, vec!["record.json".to_owned()])
        );
        let kept = std::fs::read(out.path().join("record.json")).unwrap();
        let kept: serde_json::Value = serde_json::from_slice(&kept).unwrap();
        assert_eq!(kept.as_object(), Some(record));
    }

    #[test]
    fn a_check_from_outside_is_mended_by_its_own_name() {
        let expected =
            "hint: name-not-found: add the record, or ask other resolvers: `outbound.resolvers`";
        for detail in [
            "name-not-found: http://a.example.org: no address for this name",
            "outside: name-not-found: http://a.example.org: no address for this name",
        ] {
            let hint = mend("failed", "http_dns", detail);
            assert_eq!(hint.as_deref(), Some(expected), "{detail}");
        }
        let other = mend(
            "failed",
            "http_dns",
            "outside: http://a.example.org: who knows",
        );
        assert_eq!(other.as_deref(), Some("hint: outside: the log says what"));
        assert_eq!(mend("ok", "http_dns", "name-not-found: x"), None);
    }
}
