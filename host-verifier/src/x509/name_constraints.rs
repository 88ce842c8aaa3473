//! `nameConstraints`, RFC 5280 section 4.2.1.10, enforced for directory names, DNS names, URIs,
//! mail addresses and IP addresses. A critical constraint on any other form refuses every
//! certificate below it.

use super::{
    Certificate,
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
    /// A critical constraint of a form that is not enforced here.
    unenforceable: bool,
}

impl NameConstraints {
    pub(super) fn from_der(value: &[u8], critical: bool) -> Result<Self, DerError> {
        let mut reader = whole(value)?;
        let permitted = subtrees(reader.optional(tag::constructed(0))?.map(|e| e.contents))?;
        let excluded = subtrees(reader.optional(tag::constructed(1))?.map(|e| e.contents))?;
        reader.finish()?;
        let all = permitted.iter().chain(&excluded);
        let unenforceable = critical && all.clone().any(|n| matches!(n, GeneralName::Other(_)));
        Ok(Self {
            permitted,
            excluded,
            unenforceable,
        })
    }

    /// True when every name of `certificate` is allowed.
    pub(super) fn allow(&self, certificate: &Certificate) -> bool {
        let subject = certificate.subject();
        let names = certificate.extensions().subject_alt_name.iter().flatten();
        !self.unenforceable
            && (subject.is_empty() || self.allow_directory(subject))
            && names.into_iter().all(|name| self.allow_name(name))
    }

    fn allow_directory(&self, name: &Name) -> bool {
        self.allow_name(&GeneralName::Directory(name.clone()))
    }

    fn allow_name(&self, name: &GeneralName) -> bool {
        let mut same_form = self.permitted.iter().filter(|p| is_same_form(p, name));
        let permitted = match same_form.next() {
            None => true,
            Some(first) => is_within(name, first) || same_form.any(|p| is_within(name, p)),
        };
        permitted && !self.excluded.iter().any(|e| may_be_within(name, e))
    }
}

fn subtrees(contents: Option<&[u8]>) -> Result<Vec<GeneralName>, DerError> {
    let mut names = Vec::new();
    let mut reader = Reader::new(contents.unwrap_or_default());
    while !reader.is_empty() {
        let mut subtree = reader.expect(tag::SEQUENCE)?.reader();
        let name = GeneralName::from_element(&subtree.any()?)?;
        // `minimum` and `maximum` are never used; with them a subtree means something else.
        let bounded = !subtree.is_empty();
        names.push(if bounded { GeneralName::Other(0) } else { name });
        if names.len() > MAX_SUBTREES {
            return Err(DerError::Value("name constraints"));
        }
    }
    Ok(names)
}

fn is_same_form(a: &GeneralName, b: &GeneralName) -> bool {
    core::mem::discriminant(a) == core::mem::discriminant(b)
}

fn is_within(name: &GeneralName, base: &GeneralName) -> bool {
    match (name, base) {
        (GeneralName::Directory(name), GeneralName::Directory(base)) => name.is_within(base),
        (GeneralName::Dns(name), GeneralName::Dns(base)) => dns_within(name, base),
        (GeneralName::Uri(uri), GeneralName::Uri(base)) => {
            uri_host(uri).is_some_and(|host| host_within(host, base))
        }
        (GeneralName::Email(name), GeneralName::Email(base)) => match base.contains('@') {
            true => name.eq_ignore_ascii_case(base),
            false => name
                .rsplit_once('@')
                .is_some_and(|(_, host)| host_within(host, base)),
        },
        (GeneralName::Ip(address), GeneralName::Ip(base)) => ip_within(address, base),
        _ => false,
    }
}

/// Like [`is_within`], and also true when a name stands for several of which one may be within:
/// `*.example.org` covers an excluded `host.example.org`; a URI whose host is not readable is
/// covered by every exclusion.
fn may_be_within(name: &GeneralName, base: &GeneralName) -> bool {
    is_within(name, base)
        || match (name, base) {
            (GeneralName::Dns(name), GeneralName::Dns(base)) => name
                .strip_prefix("*.")
                .is_some_and(|parent| dns_within(base, parent)),
            (GeneralName::Uri(uri), GeneralName::Uri(_)) => uri_host(uri).is_none(),
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
    // An IP literal is not a host name (RFC 5280: URI constraints apply to host names only).
    if host.starts_with('[') {
        return None;
    }
    let host = host.split(':').next()?;
    (!host.is_empty()).then_some(host)
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
            unenforceable: false,
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
        assert!(one.allow_name(&mail("A@example.org")));
        assert!(!one.allow_name(&mail("b@example.org")));
        let host = constraints(&[mail("example.org")], &[]);
        assert!(host.allow_name(&mail("b@example.org")));
        assert!(!host.allow_name(&mail("b@sub.example.org")));
    }
}
