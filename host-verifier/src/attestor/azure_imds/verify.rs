//! Every check on an attested document, and on what Azure knows of its machine. Pure.

use core::cell::Cell;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use jiff::{SignedDuration, Timestamp};

use super::document::Document;
use super::error::ImdsError;
use super::payload;
use crate::attestor::AttestError;
use crate::attestor::azure::lists::Lists;
use crate::cloud::azure::{
    Access, Found, Guid, IntermediateQuestion, Machine, ResourceId, ScaleSetName, Settings, Wanted,
};
use crate::cms::{self, Profile, SignedData};
use crate::crypto::Known;
use crate::x509::extensions::GeneralName;
use crate::x509::{Certificate, PathError, Policy, TrustStore, UnixTime, VerifiedChain, validate};

/// For clocks that differ.
const LEEWAY: SignedDuration = SignedDuration::from_mins(5);
/// Most certificates that are fetched for one document: a signer's issuer, and a root that another one signed.
pub(super) const MOST_FETCHED: usize = 3;

/// The rules of one entry, checked.
#[derive(Debug)]
pub struct Rules {
    /// Whose signatures are Azure's.
    pub(super) trust: TrustStore,
    /// Where certificates are fetched, and whether.
    pub(super) settings: Settings,
    /// Signers and those above them that were judged good: one of each region signs for all of its machines.
    pub(super) known: Known<Certificate>,
    /// Whose name the signer has.
    pub(super) domain: &'static str,
    pub(super) tenants: Vec<Tenant>,
    pub(super) lists: Lists,
    /// The tags that become attributes.
    pub(super) tag_keys: Vec<String>,
    /// Whether the machine's addresses are asked for.
    pub(super) addresses: bool,
}

/// An entry of `tenants`.
#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) id: Guid,
    /// `None`: the only tenant, whose machines are told by other means.
    pub(super) subscriptions: Option<Vec<Guid>>,
    /// How its resource manager is asked; `None`: it is not.
    pub(super) access: Option<Access>,
}

/// A document that its signer vouches for. Whether anybody vouches for the signer is still to be seen: [`Rules::trusted`].
#[derive(Debug, Clone)]
pub(super) struct Signed {
    pub(super) document: Document,
    signer: Certificate,
    hints: Vec<Certificate>,
    /// Whether one of these certificates was not known.
    anew: bool,
    pub(super) scale_set: Option<ScaleSetName>,
    tenant: usize,
}

impl Rules {
    /// Reads a payload, and judges everything but the signer's chain. One certificate is looked at from here on: the one that the
    /// message's signer is named by.
    ///
    /// # Errors
    ///
    /// The first check that failed, in the order of `docs/methods/azure_imds.md`.
    pub(super) fn read(
        &self,
        payload: &[u8],
        nonce: &str,
        now: Timestamp,
    ) -> Result<Signed, ImdsError> {
        let anew = Cell::new(false);
        let read = |der: &[u8]| match self.known.get(der) {
            Some(known) => Ok(known),
            None => {
                anew.set(true);
                Certificate::from_der(der)
            }
        };
        let untrusted = payload::parse(payload, read)?;
        let der = cms::to_der(&untrusted.document).map_err(cms::CmsError::from)?;
        let message = SignedData::read(&der)?;
        let signer = message.untrusted_certificate_of_signer_by(|der| read(der).ok())?;
        let content = message.verify(&signer, Profile::AZURE)?.content;
        check_name(&signer, self.domain)?;
        let document = Document::parse(content)?;
        verify_slices_are_equal(document.nonce.as_bytes(), nonce.as_bytes())
            .map_err(|_| ImdsError::Nonce)?;
        check_time(&document, now)?;
        let tenant = self.tenant_of(&document.subscription)?;
        let beside = message.untrusted_certificates().iter();
        let beside = beside.filter(|der| ***der != *signer.der());
        let beside = beside.filter_map(|der| read(der).ok());
        let sent = untrusted.certificates.into_iter();
        let sent = sent.filter(|hint| *hint.der() != *signer.der());
        Ok(Signed {
            document,
            hints: sent.chain(beside).collect(),
            anew: anew.get(),
            signer,
            scale_set: untrusted.scale_set,
            tenant,
        })
    }

    /// The tenant is not in the document: whose the subscription is, the settings say.
    fn tenant_of(&self, subscription: &Guid) -> Result<usize, ImdsError> {
        let found = self.tenants.iter().position(|tenant| {
            let listed = tenant.subscriptions.as_ref();
            listed.is_none_or(|listed| listed.contains(subscription))
        });
        found.ok_or_else(|| ImdsError::Subscription(subscription.to_string()))
    }

    pub(super) fn tenant(&self, signed: &Signed) -> Result<&Tenant, ImdsError> {
        let tenant = self.tenants.get(signed.tenant);
        tenant.ok_or(ImdsError::Kept("the tenant is not there any more"))
    }

    /// Whether a root vouches for the signer, perhaps by these certificates.
    ///
    /// # Errors
    ///
    /// [`ImdsError::NoRoots`], [`ImdsError::Path`].
    pub(super) fn trusted(
        &self,
        signed: &Signed,
        fetched: &[Certificate],
        now: Timestamp,
    ) -> Result<(), ImdsError> {
        if self.trust.is_empty() {
            return Err(ImdsError::NoRoots);
        }
        let hints = fetched.iter().chain(&signed.hints).cloned();
        let hints: Vec<_> = hints.collect();
        let at = UnixTime::from(now);
        let chain = validate(&signed.signer, &hints, &self.trust, &Policy::server(), at)?;
        if signed.anew {
            self.keep(&chain);
        }
        Ok(())
    }

    /// Keeps the certificates of a chain that was judged good, so that they need not be read again, with what was computed of
    /// their keys. Each chain is judged anew.
    fn keep(&self, chain: &VerifiedChain) {
        self.known.put(chain.leaf().der(), chain.leaf());
        for issuer in chain.issuers() {
            self.known.put(issuer.der(), issuer);
        }
    }

    /// The certificate that may be missing: the issuer's of the one that was fetched last, or of the signer's.
    pub(super) fn missing(
        &self,
        signed: &Signed,
        fetched: &[Certificate],
        error: &ImdsError,
    ) -> Option<IntermediateQuestion> {
        let is_missing = matches!(error, ImdsError::Path(PathError::UnknownIssuer { .. }));
        if !is_missing || !self.settings.fetch_intermediates || fetched.len() >= MOST_FETCHED {
            return None;
        }
        let below = fetched.last().unwrap_or(&signed.signer);
        let mut urls = below.extensions().ca_issuers.iter();
        urls.find_map(|url| IntermediateQuestion::new(url, &self.settings))
    }

    /// Which machine the resource manager is asked for; `None`: it is not asked.
    pub(super) fn machine_to_ask_for(&self, signed: &Signed) -> Option<(&Access, Wanted)> {
        let access = self.tenants.get(signed.tenant)?.access.as_ref()?;
        let wanted = Wanted::ById {
            subscription: signed.document.subscription.clone(),
            vm_id: signed.document.vm_id.clone(),
            untrusted_scale_set: signed.scale_set.clone(),
        };
        Some((access, wanted))
    }

    /// What the resource manager said of the machine. `None`: it is not asked.
    ///
    /// # Errors
    ///
    /// There is no such machine, or the lists do not let it in.
    pub(super) fn check_machine<'a>(
        &self,
        signed: &Signed,
        found: Option<&'a Found>,
    ) -> Result<Option<&'a Machine>, AttestError> {
        let Some((access, _)) = self.machine_to_ask_for(signed) else {
            return Ok(None);
        };
        let found = found.ok_or_else(|| ImdsError::NotAsked {
            asked: access.resource_manager.clone(),
            vm_id: signed.document.vm_id.to_string(),
            subscription: signed.document.subscription.to_string(),
        })?;
        if found.asked != access.resource_manager {
            return Err(ImdsError::Kept("it is of another resource manager").into());
        }
        let Document {
            vm_id,
            subscription,
            ..
        } = &signed.document;
        let machine = found.machine.as_ref().ok_or_else(|| ImdsError::NoMachine {
            vm_id: vm_id.to_string(),
            subscription: subscription.to_string(),
        })?;
        let id = ResourceId::parse(&machine.id).ok_or(ImdsError::Kept("its machine is none"))?;
        if machine.vm_id.as_ref() != Some(vm_id) || id.subscription() != subscription {
            return Err(ImdsError::Kept("it is about another machine").into());
        }
        self.lists.check_group(id.group())?;
        self.lists.check_name(&machine.name)?;
        self.lists.check_machine(machine)?;
        Ok(Some(machine))
    }
}

/// One of its DNS names is the domain or below it, label by label. A wildcard is no name of anybody who signs.
fn check_name(signer: &Certificate, domain: &'static str) -> Result<(), ImdsError> {
    let names = signer.extensions().subject_alt_name.iter().flatten();
    let fits = |name: &GeneralName| match name {
        GeneralName::Dns(name) => is_at_or_below(name, domain),
        _ => false,
    };
    let mut names = names.map(fits);
    match names.any(|fits| fits) {
        true => Ok(()),
        false => Err(ImdsError::SignerName(domain)),
    }
}

fn is_at_or_below(name: &str, domain: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let label = |label: &str| !label.is_empty() && label.bytes().all(plain);
    let split = name.len().checked_sub(domain.len());
    let above = match split.and_then(|at| name.split_at_checked(at)) {
        Some((above, end)) if end.eq_ignore_ascii_case(domain) => above,
        _ => return false,
    };
    let above_dot = above.strip_suffix('.');
    above.is_empty() || above_dot.is_some_and(|above| above.split('.').all(label))
}

fn check_time(document: &Document, now: Timestamp) -> Result<(), ImdsError> {
    let (from, to) = (document.created, document.expires);
    let early = from.duration_since(now) > LEEWAY;
    let late = now.duration_since(to) > LEEWAY;
    match early || late || to < from {
        true => Err(ImdsError::Window { from, to, now }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::is_at_or_below;

    #[test]
    fn names_are_compared_by_their_labels() {
        const DOMAIN: &str = "metadata.azure.com";
        for name in [
            "metadata.azure.com",
            "westeurope.metadata.azure.com",
            "a.b-c.metadata.azure.com",
            "WestEurope.Metadata.Azure.Com",
        ] {
            assert!(is_at_or_below(name, DOMAIN), "{name}");
        }
        for name in [
            "fakemetadata.azure.com",
            "metadata.azure.com.evil.tld",
            "*.metadata.azure.com",
            ".metadata.azure.com",
            "a..metadata.azure.com",
            "azure.com",
            "metadata.azure.com.",
            "metadata.azure.us",
            "metadata_azure.com",
            "",
        ] {
            assert!(!is_at_or_below(name, DOMAIN), "{name}");
        }
    }
}
