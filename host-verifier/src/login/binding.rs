//! What a login is bound to: the key of its SVID where a policy says so (tofu), its TPM and its microcontroller to each other,
//! and the names that bans are by.

use assay_common::policy::AttestorKind;
use assay_common::protocol::DenyCode;

use super::denial::{Refused, internal};
use crate::attestor::{Facts, is_bearer};
use crate::crypto::sha256;
use crate::policy::Authorized;
use crate::store::{Conflict, FirstUse, first_use_hash, identity_hash};
use crate::svid::VerifiedKey;

/// What this login binds to the SVID's key, or must find bound to it. `held` says whether the login has shown that it holds it:
/// the request for its certificate could be a copy, as what is bound could.
pub(super) fn first_uses(
    authorized: &Authorized,
    key: Option<&VerifiedKey>,
    held: bool,
) -> Result<Vec<FirstUse>, Refused> {
    let bind = |(method, identity): &(AttestorKind, Option<String>)| {
        let identity = identity.as_ref();
        let identity = identity.ok_or_else(|| internal(format!("{method} names no instance")))?;
        let key = key.ok_or_else(|| {
            let detail = format!(
                "policy `{}` binds what {method} proves to the key of the SVID (tofu), and the agent asked for no SVID",
                authorized.policy()
            );
            (DenyCode::REFUSED, detail)
        })?;
        if !held {
            let detail = format!(
                "policy `{}` binds what {method} proves to the key of the SVID (tofu), and that key did not sign this login: who shows it may have a copy of another login; an agent that cannot sign needs an update",
                authorized.policy()
            );
            return Err((DenyCode::REFUSED, detail));
        }
        Ok(FirstUse {
            method: *method,
            identity: first_use_hash(identity),
            key: sha256(&[key.spki_der()]),
            held,
            binds: true,
        })
    };
    let own = authorized.first_uses();
    let binding: Result<Vec<_>, Refused> = own.iter().map(bind).collect();
    // What anybody could repeat may be bound by another policy or cluster, and is that key's here as well.
    let others = authorized.identities().iter();
    let others = others.filter(|(method, _)| {
        is_bearer(*method) && !own.iter().any(|(binding, _)| binding == method)
    });
    let others = others.map(|(method, identity)| FirstUse {
        method: *method,
        identity: first_use_hash(identity),
        key: key.map_or([0; 32], |key| sha256(&[key.spki_der()])),
        held,
        binds: false,
    });
    Ok(binding?.into_iter().chain(others).collect())
}

/// The TPM and the microcontroller of a login, each by what it is bound to: one pair, and neither in another.
pub(super) fn pair(facts: &Facts) -> impl Iterator<Item = FirstUse> {
    let digest =
        |half: &str, name: &str| sha256(&[b"assay/pair/v1", half.as_bytes(), name.as_bytes()]);
    let both = facts.subject.as_deref().zip(facts.mcu_key);
    both.into_iter().flat_map(move |(ek, mcu)| {
        let half = |identity, key| FirstUse {
            method: AttestorKind::MCU_KEY,
            identity,
            key,
            // The TPM and the key have both taken part in this login.
            held: true,
            binds: mcu.pairs,
        };
        let (tpm, mcu) = (digest("tpm", ek), digest("mcu", &hex::encode(mcu.hash)));
        [half(tpm, mcu), half(mcu, tpm)]
    })
}

/// What bans of its keys, tokens and names are by. A TPM's has the ban of its node.
pub(super) fn known_as(authorized: &Authorized) -> Vec<String> {
    let subject = authorized.facts().subject.as_deref();
    let named = authorized.identities().iter();
    let others = named.filter(|(_, identity)| Some(identity.as_str()) != subject);
    others
        .map(|(method, identity)| identity_hash(*method, identity))
        .collect()
}

/// Why a login is refused that the store contradicts, and how an operator unbinds a node that was set up anew.
pub(super) fn told(conflict: &Conflict, authorized: &Authorized) -> String {
    let Conflict::BoundElsewhere { method, .. } = conflict else {
        return conflict.to_string();
    };
    let mut named = authorized.identities().iter();
    let named = named.find(|(known, _)| known == method);
    let unbind = named.map(|(_, identity)| {
        let whom = in_shell(&format!("{method}={identity}"));
        format!("`assay node evict --identity {whom} --config assayd.yaml`")
    });
    let unbind = unbind.unwrap_or_else(|| "`assay node evict`".to_owned());
    format!("{conflict}; if it was set up anew or its key was lost: {unbind}")
}

/// A word of a command: quoted where a shell would read it otherwise. Identities are of the methods' making, and of clouds' and
/// issuers' behind them.
fn in_shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "=:/._@-+,".contains(c);
    match word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::in_shell;

    #[test]
    fn what_stands_in_a_command_is_one_word_of_it() {
        let plain = "aws_iid=aws:aws:123456789012:eu-west-1:i-0123456789abcdef0";
        assert_eq!(in_shell(plain), plain);
        assert_eq!(in_shell("azure_msi=a/b#/c"), "'azure_msi=a/b#/c'");
        assert_eq!(in_shell("a=b; rm"), "'a=b; rm'");
        assert_eq!(in_shell("a=it's"), r"'a=it'\''s'");
    }
}
