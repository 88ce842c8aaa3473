//! `nameConstraints`, RFC 5280 section 4.2.1.10, enforced for directory names, DNS names, URIs,
//! mail addresses and IP addresses, critical or not.
//!
//! A constraint that cannot be enforced (another form, a base that is not written as the RFC says, a subtree with
//! bounds) refuses every certificate below it that has a name of that form: it can be neither proven to be within nor to be
//! without.

use super::{
    Certificate, Oid,
    der::{DerError, Reader, tag},
    extensions::{GeneralName, whole},
    name::Name,
};

/// More subtrees than any CA has; checking is quadratic in names and subtrees.
const MAX_SUBTREES: usize = 64;

/// The subtrees that a CA may issue for.
#[derive(Clone, Debug)]
pub struct NameConstraints {
    permitted: Vec<GeneralName>,
    excluded: Vec<GeneralName>,
    /// Forms of which no name can be judged.
    unenforceable: Vec<u8>,
}

impl NameConstraints {
    pub(super) fn from_der(value: &[u8]) -> Result<Self, DerError> {
        let mut reader = whole(value)?;
        let permitted = reader.optional(tag::constructed(0))?;
        let excluded = reader.optional(tag::constructed(1))?;
        reader.finish()?;
        // "must contain at least one", and GeneralSubtrees has a SIZE of 1 and more.
        let parts = [permitted, excluded];
        if parts.iter().flatten().any(|part| part.contents.is_empty())
            || parts.iter().flatten().next().is_none()
        {
            return Err(DerError::Value("name constraints"));
        }
        let mut unenforceable = Vec::new();
        let mut subtrees = |part: Option<super::der::Element<'_>>| {
            subtrees(part.map(|part| part.contents), &mut unenforceable)
        };
        Ok(Self {
            permitted: subtrees(permitted)?,
            excluded: subtrees(excluded)?,
            unenforceable,
        })
    }

    /// True when every name of `certificate` is allowed.
    pub(super) fn allow(&self, certificate: &Certificate) -> bool {
        let subject = certificate.subject();
        let names = certificate.extensions().subject_alt_name.as_deref();
        let mut names = names.unwrap_or_default().iter();
        (subject.is_empty() || self.allow_directory(subject))
            && self.allow_addresses_of_subject(certificate)
            && names.all(|name| self.allow_name(name))
    }

    fn allow_directory(&self, name: &Name) -> bool {
        self.allow_name(&GeneralName::Directory(name.clone()))
    }

    /// Certificates without alternative names may have mail addresses in the subject, which are constrained as such.
    fn allow_addresses_of_subject(&self, certificate: &Certificate) -> bool {
        let addresses = certificate.subject().attributes().iter();
        let mut addresses = addresses.filter(|attribute| attribute.oid == Oid::EMAIL_ADDRESS);
        certificate.extensions().subject_alt_name.is_some()
            || addresses.all(|attribute| match &attribute.text {
                Some(text) => self.allow_name(&GeneralName::Email(text.clone())),
                // 1 is the form of mail addresses.
                None => !self.constrains(1),
            })
    }

    fn constrains(&self, form: u8) -> bool {
        let bases = self.permitted.iter().chain(&self.excluded);
        self.unenforceable.contains(&form) || bases.into_iter().any(|base| base.form() == form)
    }

    fn allow_name(&self, name: &GeneralName) -> bool {
        if self.unenforceable.contains(&name.form()) {
            return false;
        }
        let mut same_form = self.permitted.iter().filter(|p| p.form() == name.form());
        let permitted = match same_form.next() {
            None => true,
            Some(first) => is_within(name, first) || same_form.any(|p| is_within(name, p)),
        };
        permitted && !self.excluded.iter().any(|e| may_be_within(name, e))
    }
}

fn subtrees(
    contents: Option<&[u8]>,
    unenforceable: &mut Vec<u8>,
) -> Result<Vec<GeneralName>, DerError> {
    let mut names = Vec::new();
    let mut count = 0;
    let mut reader = Reader::new(contents.unwrap_or_default());
    while !reader.is_empty() {
        let mut subtree = reader.expect(tag::SEQUENCE)?.reader();
        let base = GeneralName::from_element(&subtree.any()?)?;
        // `minimum` and `maximum` are never used; with them a subtree means something else.
        let bounded = !subtree.is_empty();
        if bounded || !is_base(&base) {
            unenforceable.push(base.form());
        } else {
            names.push(base);
        }
        count += 1;
        if count > MAX_SUBTREES {
            return Err(DerError::Value("name constraints"));
        }
    }
    Ok(names)
}

/// Whether it is written as the RFC says that a constraint of its form is.
fn is_base(name: &GeneralName) -> bool {
    match name {
        GeneralName::Directory(_) => true,
        // The empty name stands for all; a leading dot has a meaning for URIs and mail addresses only.
        GeneralName::Dns(base) => base.is_empty() || is_host(base),
        GeneralName::Uri(base) => is_host(base.strip_prefix('.').unwrap_or(base)),
        GeneralName::Email(base) => match base.rsplit_once('@') {
            Some((local, host)) => is_local_part(local) && is_host(host),
            None => is_host(base.strip_prefix('.').unwrap_or(base)),
        },
        GeneralName::Ip(base) => match base.split_at_checked(base.len() / 2) {
            Some((network, mask)) if matches!(network.len(), 4 | 16) => {
                mask.len() == network.len() && is_prefix(mask)
            }
            _ => false,
        },
        GeneralName::Other(_) => false,
    }
}

/// Ones and then zeros.
fn is_prefix(mask: &[u8]) -> bool {
    let ones: u32 = mask.iter().map(|byte| byte.count_ones()).sum();
    let mut leading = 0;
    for byte in mask {
        leading += byte.leading_ones();
        if *byte != 0xff {
            break;
        }
    }
    ones == leading
}

/// Labels of letters, digits, hyphens and underscores, with single dots between them.
fn is_host(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

fn is_local_part(local: &str) -> bool {
    !local.is_empty() && !local.contains(['@', ' ', '"', '(', ')', '<', '>', ',', ';', ':'])
}

/// The two sides of a mail address; `None` when it is not one that can be compared.
fn address(text: &str) -> Option<(&str, &str)> {
    let (local, host) = text.rsplit_once('@')?;
    (is_local_part(local) && is_host(host)).then_some((local, host))
}

/// A DNS name that a certificate can be for: a host, or all below one.
fn is_dns_name(name: &str) -> bool {
    is_host(name.strip_prefix("*.").unwrap_or(name))
}

fn is_within(name: &GeneralName, base: &GeneralName) -> bool {
    match (name, base) {
        (GeneralName::Directory(name), GeneralName::Directory(base)) => name.is_within(base),
        (GeneralName::Dns(name), GeneralName::Dns(base)) => {
            is_dns_name(name) && dns_within(name, base)
        }
        (GeneralName::Uri(uri), GeneralName::Uri(base)) => {
            uri_host(uri).is_some_and(|host| host_within(host, base))
        }
        (GeneralName::Email(name), GeneralName::Email(base)) => {
            address(name).is_some_and(|(local, host)| match base.rsplit_once('@') {
                // The local part is the mail server's own, letter case included.
                Some((base_local, base_host)) => {
                    local == base_local && host.eq_ignore_ascii_case(base_host)
                }
                None => host_within(host, base),
            })
        }
        (GeneralName::Ip(address), GeneralName::Ip(base)) => ip_within(address, base),
        _ => false,
    }
}

/// Like [`is_within`], and also true when a name stands for several of which one may be within
/// (`*.example.org` covers an excluded `host.example.org`) or cannot be read.
fn may_be_within(name: &GeneralName, base: &GeneralName) -> bool {
    is_within(name, base)
        || match (name, base) {
            (GeneralName::Dns(name), GeneralName::Dns(base)) => {
                !is_dns_name(name)
                    || name
                        .strip_prefix("*.")
                        .is_some_and(|parent| dns_within(base, parent))
            }
            (GeneralName::Uri(uri), GeneralName::Uri(_)) => uri_host(uri).is_none(),
            (GeneralName::Email(name), GeneralName::Email(base)) => {
                address(name).is_none() || name.eq_ignore_ascii_case(base)
            }
            (GeneralName::Ip(address), GeneralName::Ip(_)) => !matches!(address.len(), 4 | 16),
            _ => false,
        }
}

/// `host.example.org` and `example.org` are within `example.org`; the empty base covers all.
fn dns_within(name: &str, base: &str) -> bool {
    let base = base.strip_prefix('.').unwrap_or(base);
    let name = name.to_ascii_lowercase();
    let base = base.to_ascii_lowercase();
    base.is_empty()
        || name
            .strip_suffix(base.as_str())
            .is_some_and(|head| head.is_empty() || head.ends_with('.'))
}

/// A base with a leading dot covers hosts below it, one without covers that host alone.
fn host_within(host: &str, base: &str) -> bool {
    match base.strip_prefix('.') {
        Some(parent) => dns_within(host, parent) && !host.eq_ignore_ascii_case(parent),
        None => host.eq_ignore_ascii_case(base),
    }
}

fn uri_host(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = host.split(':').next()?;
    // An address is not a host name (RFC 5280: URI constraints apply to host names only).
    (is_host(host) && host.parse::<core::net::Ipv4Addr>().is_err()).then_some(host)
}

fn ip_within(address: &[u8], base: &[u8]) -> bool {
    let (network, mask) = base.split_at(base.len() / 2);
    address.len() == network.len()
        && mask.len() == network.len()
        && address
            .iter()
            .zip(network)
            .zip(mask)
            .all(|((a, n), m)| a & m == n & m)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constraints(permitted: &[GeneralName], excluded: &[GeneralName]) -> NameConstraints {
        NameConstraints {
            permitted: permitted.to_vec(),
            excluded: excluded.to_vec(),
            unenforceable: Vec::new(),
        }
    }

    fn dns(name: &str) -> GeneralName {
        GeneralName::Dns(name.to_owned())
    }

    fn uri(name: &str) -> GeneralName {
        GeneralName::Uri(name.to_owned())
    }

    #[test]
    fn permits_subdomains_by_whole_labels_only() {
        let only = constraints(&[dns("example.org")], &[]);
        assert!(only.allow_name(&dns("a.Example.org")));
        assert!(only.allow_name(&dns("example.org")));
        assert!(!only.allow_name(&dns("badexample.org")));
        assert!(!only.allow_name(&dns("example.org.evil")));
        // A constraint on one form says nothing about another.
        assert!(only.allow_name(&uri("spiffe://other/x")));
    }

    #[test]
    fn excludes_a_wildcard_that_covers_an_excluded_host() {
        let not = constraints(&[], &[dns("secret.example.org")]);
        assert!(!not.allow_name(&dns("*.example.org")));
        assert!(not.allow_name(&dns("other.example.org")));
    }

    #[test]
    fn compares_the_host_of_a_uri() {
        let below = constraints(&[uri(".example.org")], &[]);
        assert!(below.allow_name(&uri("https://u@a.example.org:8443/p?q")));
        assert!(!below.allow_name(&uri("https://example.org/")));
        assert!(!below.allow_name(&uri("https://evil.org/?.example.org")));
        assert!(!below.allow_name(&uri("https://evil.org#@a.example.org")));
        let not = constraints(&[], &[uri("example.org")]);
        assert!(!not.allow_name(&uri("urn:no-host")));
    }

    #[test]
    fn compares_addresses_under_the_mask() {
        let net = constraints(&[GeneralName::Ip(vec![10, 0, 0, 0, 255, 0, 0, 0])], &[]);
        assert!(net.allow_name(&GeneralName::Ip(vec![10, 9, 8, 7])));
        assert!(!net.allow_name(&GeneralName::Ip(vec![11, 0, 0, 1])));
        assert!(!net.allow_name(&GeneralName::Ip(vec![10])));
    }

    #[test]
    fn compares_mail_addresses_by_host_or_whole() {
        let mail = |s: &str| GeneralName::Email(s.to_owned());
        let one = constraints(&[mail("a@example.org")], &[]);
        assert!(one.allow_name(&mail("a@Example.org")));
        assert!(!one.allow_name(&mail("A@example.org")));
        let not = constraints(&[], &[mail("a@example.org")]);
        assert!(!not.allow_name(&mail("A@example.org")));
        assert!(!not.allow_name(&mail("no address")));
        assert!(!one.allow_name(&mail("b@example.org")));
        let host = constraints(&[mail("example.org")], &[]);
        assert!(host.allow_name(&mail("b@example.org")));
        assert!(!host.allow_name(&mail("b@sub.example.org")));
    }
}
