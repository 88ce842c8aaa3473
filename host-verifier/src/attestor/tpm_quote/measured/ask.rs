//! What the register and the store know of what was measured.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::images::{Identified, Reference, Required, Sha256Text, Wanted, decide};
use super::witness::{WitnessError, Witnessed};
use super::{LogRules, Measured, MeasuredImage};
use crate::attestor::{
    AttestError, Claims, Errand, ErrandContext, Fault, Judged, LoginContext, Running,
};
use crate::outside::Outside;
use crate::store::{ImageRecord, NodeBoot};

/// What is proven but for what others know.
#[derive(Debug)]
pub(in crate::attestor::tpm_quote) struct Ask {
    /// What the quote proves.
    pub(in crate::attestor::tpm_quote) claims: Claims,
    /// What the log says.
    pub(in crate::attestor::tpm_quote) measured: Measured,
    /// Whose boot it is, and which.
    pub(in crate::attestor::tpm_quote) boot: Option<(String, Witnessed)>,
    required: Arc<[Required]>,
    references: Option<Arc<[Reference]>>,
}

/// What was answered, as it is kept. It says what was asked, so that no answer is taken for another's.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Answer {
    /// The digests that were measured.
    measured: Vec<Sha256Text>,
    /// What is registered of them, and by the names that are required; `None` where the policy has its own.
    registered: Option<Vec<Reference>>,
    /// The node's boot.
    boot: Option<Boots>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Boots {
    node: String,
    /// `None`: the node says nothing of it.
    now: Option<NodeBoot>,
    last: Option<NodeBoot>,
}

impl Ask {
    /// Decides at once where nothing has to be asked.
    pub(in crate::attestor::tpm_quote) fn begin(
        rules: &LogRules,
        claims: Claims,
        measured: Measured,
        boot: Option<(String, Witnessed)>,
    ) -> Result<Judged, AttestError> {
        let ask = Self {
            claims,
            measured,
            boot,
            required: rules.required.clone(),
            references: rules.references.clone(),
        };
        let to_ask = ask.boot.is_some() || ask.asks_register();
        Ok(match to_ask {
            true => Judged::Errand(Box::new(ask)),
            false => {
                let references = ask.references.clone().unwrap_or_default();
                Judged::Proven(Box::new(ask.conclude(&references)?))
            }
        })
    }

    fn asks_register(&self) -> bool {
        self.references.is_none() && !(self.measured.images.is_empty() && self.required.is_empty())
    }

    fn digests(&self) -> Vec<[u8; 32]> {
        self.measured.images.iter().map(|i| i.sha256).collect()
    }

    fn names(&self) -> Vec<String> {
        let names = self.required.iter().filter_map(|r| match &r.what {
            Wanted::Name(name) => Some(name.clone()),
            Wanted::Digest(_) => None,
        });
        names.collect()
    }

    fn conclude(self, references: &[Reference]) -> Result<Claims, AttestError> {
        let Self {
            mut claims,
            measured,
            boot,
            required,
            ..
        } = self;
        let identified = decide(&measured.images, &required, references)?;
        let kind = claims.kind;
        let attributes = identified.iter().map(|(image, _)| {
            // A version and a name that nobody vouches for are not given on.
            ("measurements", Sha256Text(image.sha256).to_string())
        });
        let attributes = attributes
            .chain(identified.last().into_iter().flat_map(of_image))
            .chain(boot.and_then(|(_, boot)| match boot {
                Witnessed::Boot(boot) => Some(("boot_counter", boot.counter.to_string())),
                Witnessed::Untold(_) => None,
            }));
        for (name, value) in attributes {
            claims.attributes.push(crate::attestor::Attribute {
                origin: kind,
                name: format!("tpm_quote.{name}").into(),
                value,
            });
        }
        Ok(claims)
    }
}

/// The attributes of the image that runs: the last that was handed over to.
fn of_image((image, known): &Identified<'_>) -> Vec<(&'static str, String)> {
    let MeasuredImage { sha256, .. } = image;
    let mut attributes = vec![("image.digest", Sha256Text(*sha256).to_string())];
    if let Some(known) = known {
        attributes.push(("image.name", known.name.clone()));
        attributes.push(("image.version", known.version.clone()));
    }
    attributes
}

impl Errand for Ask {
    fn run<'a>(&'a self, outside: &'a dyn Outside, _: &'a ErrandContext) -> Running<'a> {
        Box::pin(async move {
            let digests = self.digests();
            let registered = match self.asks_register() {
                false => None,
                true => {
                    let found = outside.images_for(&self.names(), &digests).await;
                    let found = found.map_err(|error| error.failed("image-store"))?;
                    // What neither was measured nor is what it should have been makes the answer longer and no better.
                    let of_use = |image: &ImageRecord| {
                        self.measured.images.iter().any(|measured| {
                            measured.sha256 == image.sha256
                                || measured.name == image.name && measured.version == image.version
                        })
                    };
                    let found = found.into_iter().filter(of_use);
                    Some(found.map(Reference::from).collect())
                }
            };
            let boot = match &self.boot {
                None => None,
                Some((node, told)) => {
                    let (now, last) = match told {
                        Witnessed::Boot(now) => (Some(*now), outside.note_boot(node, now).await),
                        Witnessed::Untold(_) => (None, outside.noted_boot(node).await),
                    };
                    Some(Boots {
                        node: node.clone(),
                        now,
                        last: last.map_err(|error| error.failed("boot-store"))?,
                    })
                }
            };
            let answer = Answer {
                measured: digests.into_iter().map(Sha256Text).collect(),
                registered,
                boot,
            };
            serde_json::to_vec(&answer).map_err(|error| not_ours(error.to_string()))
        })
    }

    fn judge(self: Box<Self>, _: &LoginContext<'_>, answer: &[u8]) -> Result<Claims, AttestError> {
        let answer: Answer =
            serde_json::from_slice(answer).map_err(|error| not_ours(error.to_string()))?;
        let asked = self.digests().into_iter().map(Sha256Text);
        if !asked.eq(answer.measured.iter().copied()) {
            return Err(not_ours("it is of other images"));
        }
        match (&self.boot, &answer.boot) {
            (None, _) => {}
            (Some((node, told)), Some(boots)) if *node == boots.node => {
                match (told, boots.now, &boots.last) {
                    (Witnessed::Boot(now), Some(noted), last) if *now == noted => {
                        let follows = last.as_ref().map(|last| now.follows(last));
                        follows.transpose().map_err(WitnessError::from)?;
                    }
                    (Witnessed::Untold(_), None, None) => {}
                    (Witnessed::Untold(why), None, Some(_)) => {
                        return Err(WitnessError::Silent(*why).into());
                    }
                    _ => return Err(not_ours("it is of another boot")),
                }
            }
            (Some(_), _) => return Err(not_ours("it is of another boot")),
        }
        let references = match (&self.references, answer.registered) {
            (Some(own), _) => own.clone(),
            (None, Some(registered)) => registered.into(),
            (None, None) if !self.asks_register() => Arc::default(),
            (None, None) => return Err(not_ours("it says nothing of images")),
        };
        self.conclude(&references)
    }
}

fn not_ours(detail: impl Into<String>) -> AttestError {
    let detail = format!("the answer about images: {}", detail.into());
    AttestError::new(Fault::Internal, "image-answer", detail)
}
