//! SPIRE's configuration brought into ours: what has a meaning here is carried over, and everything else is listed with the
//! reason. No setting is lost on the way, and none is guessed: what a person has to decide is said.
//!
//! * [`files`]: where HCL stands.
//! * [`hcl`]: reading it.
//! * `settings`: a block whose settings are taken out one by one; what is left is listed by `reasons`.
//! * `server`, `agent`, `methods`: what each block becomes.
//! * `authorities`, `datastore`: parts of the server's. `spans`: spans of time within our limits.
//! * `paths`: which SPIFFE IDs nodes get.
//! * `out`: YAML.

mod agent;
mod authorities;
mod datastore;
pub mod files;
pub mod hcl;
mod methods;
mod out;
mod paths;
mod reasons;
mod server;
mod settings;
mod spans;

use serde::Serialize;

use self::files::Part;
use self::hcl::HclError;
use self::out::Node;
use self::settings::Settings;

/// A setting that has a meaning here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Carried {
    /// Where it stood: the part and the line.
    pub at: String,
    /// What it is called there.
    pub key: String,
    /// What it is here.
    pub to: String,
}

/// A setting that has none, or whose value has not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// Where it stood.
    pub at: String,
    /// What it is called there.
    pub key: String,
    /// Why it is not carried over.
    pub reason: String,
    /// What to do instead.
    pub instead: Option<String>,
}

/// A document that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Document {
    /// The name of its file.
    pub name: &'static str,
    /// The YAML.
    pub text: String,
}

/// What came of an import.
#[derive(Debug, Default, Serialize)]
pub struct Import {
    /// The documents.
    pub documents: Vec<Document>,
    /// What was carried over.
    pub carried: Vec<Carried>,
    /// What was not.
    pub left: Vec<Left>,
    /// What a person must look at, since it is not as it was, or was never said.
    pub notes: Vec<String>,
}

/// Why nothing came of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// A part is no HCL.
    #[error("{0}{1}")]
    Hcl(String, HclError),
    /// Two servers, or two agents: two configurations.
    #[error("there is more than one `{0}` in it; import each configuration by itself")]
    Several(&'static str),
    /// Nothing of SPIRE's.
    #[error("there is neither a `server` nor an `agent` in it")]
    Nothing,
}

/// Brings a file over: HCL, or a manifest with ConfigMaps.
///
/// # Errors
///
/// [`ImportError`].
pub fn import(text: &str) -> Result<Import, ImportError> {
    let mut import = Import::default();
    let (mut servers, mut agents) = (0, 0);
    for part in files::parts(text) {
        let is_hcl = part.name.is_empty() || part.name.ends_with(".conf");
        if !is_hcl {
            let reason = "it is no configuration of a server or an agent";
            import.left.push(Left {
                at: part.name.clone(),
                key: part.name.clone(),
                reason: reason.to_owned(),
                instead: reasons::of_file(&part.name).map(ToOwned::to_owned),
            });
            continue;
        }
        let entries = hcl::parse(&part.text).map_err(|error| {
            let line = error.line + part.before;
            ImportError::Hcl(prefix(&part), HclError { line, ..error })
        })?;
        let mut root = Settings::new("", &part, entries);
        match (root.block("server"), root.block("agent")) {
            (Some(own), None) => {
                servers += 1;
                server::import(own, &mut root, &part, &mut import);
            }
            (None, Some(own)) => {
                agents += 1;
                agent::import(own, &mut root, &mut import);
            }
            (None, None) => return Err(ImportError::Nothing),
            (Some(_), Some(_)) => return Err(ImportError::Several("configuration")),
        }
        root.finish(&mut import);
    }
    match (servers, agents) {
        (0, 0) => Err(ImportError::Nothing),
        (2.., _) => Err(ImportError::Several("server")),
        (_, 2..) => Err(ImportError::Several("agent")),
        _ => Ok(import),
    }
}

fn prefix(part: &Part) -> String {
    match part.name.is_empty() {
        true => String::new(),
        false => format!("{}: ", part.name),
    }
}

impl Import {
    /// Says something, once.
    fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }

    fn document(&mut self, name: &'static str, head: &str, node: &Node) {
        let text = format!("{head}{}", node.yaml());
        self.documents.push(Document { name, text });
    }
}
