//! Cases of C2SP/x509-limbo by their names there, built anew: nothing of the suite's own data is here. Each has the verdict
//! that the suite expects, and where it is a refusal, the check that makes it.

use assay_host_verifier::x509::{
    Certificate, Oid, Policy, Revocation, TrustStore, UnixTime,
    crl::Crl,
    policy::{ExtendedKeyUsageRule, KeyUsageRule, MAX_INTERMEDIATES},
    revocation::{RequireCrl, StaleCrl},
    validate_unrevoked,
};

use super::forge::{
    Forge, Made, NOW, basic, ca, crl, directory, dns, ext, general, leaf, name, raw_ext, seq, time,
    tlv, usage,
};

/// What a case is judged by.
struct Case {
    roots: Vec<Made>,
    hints: Vec<Made>,
    leaf: Made,
    crls: Vec<Vec<u8>>,
    server_auth: bool,
    max_intermediates: usize,
}

fn case(roots: &[&Made], hints: &[&Made], leaf: Made) -> Case {
    Case {
        roots: roots.iter().map(|made| (*made).clone()).collect(),
        hints: hints.iter().map(|made| (*made).clone()).collect(),
        leaf,
        crls: Vec::new(),
        server_auth: false,
        max_intermediates: MAX_INTERMEDIATES,
    }
}

/// id-kp-serverAuth and id-kp-clientAuth.
const SERVER_AUTH: [u8; 8] = [0x2b, 6, 1, 5, 5, 7, 3, 1];
const CLIENT_AUTH: [u8; 8] = [0x2b, 6, 1, 5, 5, 7, 3, 2];

fn judge(case: &Case) -> Result<(), &'static str> {
    let read = |made: &Made| Certificate::from_der(&made.der).map_err(|_| "unreadable");
    let all = |list: &[Made]| list.iter().map(read).collect::<Result<Vec<_>, _>>();
    let leaf = read(&case.leaf)?;
    let store = TrustStore::new(all(&case.roots)?, []);
    let policy = Policy {
        extended_key_usage: match case.server_auth {
            true => ExtendedKeyUsageRule::IfPresent(Oid::from_contents(&SERVER_AUTH).unwrap()),
            false => ExtendedKeyUsageRule::Any,
        },
        key_usage: KeyUsageRule::Any,
        max_intermediates: case.max_intermediates,
        ..Policy::proof_of_possession(8192, MAX_INTERMEDIATES)
    };
    let lists = case
        .crls
        .iter()
        .map(|der| Crl::from_der(der).map_err(|_| "unreadable"));
    let lists = lists.collect::<Result<Vec<_>, _>>()?;
    let revocation =
        (!lists.is_empty()).then(|| Revocation::new(lists, RequireCrl::Leaf, StaleCrl::Refuse));
    let hints = all(&case.hints)?;
    let at = UnixTime(NOW);
    validate_unrevoked(&leaf, &hints, &store, &policy, revocation.as_ref(), at)
        .map(drop)
        .map_err(|error| error.check())
}

type Table = Vec<(&'static str, Case, Result<(), &'static str>)>;

#[track_caller]
fn agree(table: Table) {
    for (id, case, expected) in table {
        assert_eq!(judge(&case), expected, "{id}");
    }
}

fn ip(bytes: &[u8]) -> Vec<u8> {
    general(7, bytes)
}

fn mail(address: &str) -> Vec<u8> {
    general(1, address.as_bytes())
}

/// A root with constraints and a leaf with names below it.
fn below(permitted: &[Vec<u8>], excluded: &[Vec<u8>], leaf: Forge) -> Case {
    let root = ca("root").constrained(permitted, excluded).self_signed();
    let leaf = leaf.by(&root);
    case(&[&root], &[], leaf)
}

fn named(names: &[Vec<u8>]) -> Forge {
    leaf("leaf").san(names)
}

const NC: Result<(), &str> = Err("name-constraints");

#[test]
fn name_constraints() {
    let net4 = ip(&[192, 0, 2, 0, 255, 255, 255, 0]);
    let v6 = |host: u8| {
        let mut address = [0; 16];
        (address[0], address[1], address[15]) = (0x20, 0x01, host);
        address
    };
    let net6 = ip(&[v6(0), [0xff; 16]]
        .concat()
        .iter()
        .enumerate()
        .map(|(i, b)| if i == 31 { 0 } else { *b })
        .collect::<Vec<_>>());
    let other = tlv(
        0xa0,
        &[vec![6, 3, 0x2a, 3, 4], tlv(0xa0, &tlv(0x0c, b"x"))].concat(),
    );
    let example = || dns("example.com");
    let www = || leaf("leaf").san(&[dns("www.example.com")]);
    let root = ca("root").self_signed();
    let narrow = ca("ica").constrained(&[dns("foo.example.com")], &[]);
    let wide_root = ca("root").constrained(&[example()], &[]).self_signed();
    let narrow = narrow.by(&wide_root);
    let with_san = ca("ica")
        .and(ext(17, false, seq(&[dns("evil.test")])))
        .by(&wide_root);
    agree(vec![
        (
            "rfc5280::nc::permitted-dns-mismatch",
            below(&[dns("foo.test")], &[], www()),
            NC,
        ),
        (
            "rfc5280::nc::excluded-dns-match",
            below(&[], &[example()], www()),
            NC,
        ),
        (
            "rfc5280::nc::permitted-dns-match",
            below(&[example()], &[], www()),
            Ok(()),
        ),
        (
            "rfc5280::nc::permitted-dns-match-more",
            below(&[example()], &[], named(&[dns("a.b.example.com")])),
            Ok(()),
        ),
        (
            "rfc5280::nc::excluded-dns-match-second",
            below(
                &[],
                &[dns("foo.test")],
                named(&[example(), dns("a.foo.test")]),
            ),
            NC,
        ),
        (
            "rfc5280::nc::permitted-ip-mismatch",
            below(
                core::slice::from_ref(&net4),
                &[],
                named(&[ip(&[192, 0, 3, 1])]),
            ),
            NC,
        ),
        (
            "rfc5280::nc::permitted-ipv4-match",
            below(
                core::slice::from_ref(&net4),
                &[],
                named(&[ip(&[192, 0, 2, 1])]),
            ),
            Ok(()),
        ),
        (
            "rfc5280::nc::excluded-ipv4-match",
            below(
                &[],
                core::slice::from_ref(&net4),
                named(&[ip(&[192, 0, 2, 1])]),
            ),
            NC,
        ),
        (
            "rfc5280::nc::permitted-ipv6-match",
            below(core::slice::from_ref(&net6), &[], named(&[ip(&v6(1))])),
            Ok(()),
        ),
        (
            "rfc5280::nc::excluded-ipv6-match",
            below(&[], &[net6], named(&[ip(&v6(1))])),
            NC,
        ),
        (
            "rfc5280::nc::permitted-dn-mismatch",
            below(&[directory("foo")], &[], leaf("bar")),
            NC,
        ),
        (
            "rfc5280::nc::excluded-dn-match",
            below(&[], &[directory("foo")], leaf("foo")),
            NC,
        ),
        (
            "rfc5280::nc::permitted-dn-match",
            below(&[directory("foo")], &[], leaf("foo")),
            Ok(()),
        ),
        (
            "rfc5280::nc::permitted-dn-match-subject-san-mismatch",
            below(
                &[directory("foo")],
                &[],
                leaf("foo").san(&[directory("bar")]),
            ),
            NC,
        ),
        (
            "rfc5280::nc::excluded-dn-match-sub-mismatch",
            below(
                &[],
                &[directory("foo")],
                leaf("bar").san(&[directory("foo")]),
            ),
            NC,
        ),
        (
            "rfc5280::nc::excluded-match-permitted-and-excluded",
            below(&[example()], &[example()], www()),
            NC,
        ),
        (
            "rfc5280::nc::permitted-different-constraint-type",
            below(core::slice::from_ref(&net4), &[], www()),
            Ok(()),
        ),
        (
            "rfc5280::nc::excluded-different-constraint-type",
            below(&[], core::slice::from_ref(&net4), www()),
            Ok(()),
        ),
        (
            "rfc5280::nc::invalid-dnsname-wildcard",
            below(&[dns("*.example.com")], &[], www()),
            NC,
        ),
        (
            "rfc5280::nc::invalid-dnsname-leading-period",
            below(&[dns(".example.com")], &[], www()),
            NC,
        ),
        (
            "rfc5280::nc::invalid-ipv4-address",
            below(
                &[ip(&[192, 0, 2, 0, 255, 255, 0, 255])],
                &[],
                named(&[ip(&[192, 0, 2, 1])]),
            ),
            NC,
        ),
        (
            "rfc5280::nc::invalid-ipv6-address",
            below(&[ip(&[1; 31])], &[], named(&[ip(&v6(1))])),
            NC,
        ),
        (
            "rfc5280::nc::invalid-email-address",
            below(
                &[mail("invalid@invalid@example.com")],
                &[],
                named(&[mail("a@example.com")]),
            ),
            NC,
        ),
        (
            "rfc5280::nc::not-allowed-in-ee-critical",
            case(
                &[&root],
                &[],
                leaf("leaf").constrained(&[example()], &[]).by(&root),
            ),
            Err("certificate-profile"),
        ),
        (
            "rfc5280::nc::not-allowed-in-ee-noncritical",
            case(
                &[&root],
                &[],
                leaf("leaf")
                    .and(ext(30, false, super::forge::constraints(&[example()], &[])))
                    .by(&root),
            ),
            Err("certificate-profile"),
        ),
        (
            "rfc5280::nc::intermediate-with-san-rejected-by-root-nc",
            case(&[&wide_root], &[&with_san], leaf("leaf").by(&with_san)),
            NC,
        ),
        (
            "rfc5280::nc::restrictive-permits-in-intermediates-narrows",
            case(
                &[&wide_root],
                &[&narrow],
                named(&[dns("bar.example.com")]).by(&narrow),
            ),
            NC,
        ),
        (
            "rfc5280::nc::nc-permits-invalid-dns-san",
            below(&[example()], &[], named(&[dns("in valid.example.com")])),
            NC,
        ),
        (
            "rfc5280::nc::nc-permits-invalid-ip-san",
            below(&[net4], &[], named(&[ip(&[192, 0, 2])])),
            Err("certificate-profile"),
        ),
        (
            "rfc5280::nc::nc-permits-invalid-email-san",
            below(
                &[mail("example.com")],
                &[],
                named(&[mail("a@b@example.com")]),
            ),
            NC,
        ),
        (
            "rfc5280::nc::nc-permits-email-exact",
            below(
                &[mail("a@example.com")],
                &[],
                named(&[mail("a@example.com")]),
            ),
            Ok(()),
        ),
        (
            "rfc5280::nc::nc-permits-email-domain",
            below(&[mail("example.com")], &[], named(&[mail("a@example.com")])),
            Ok(()),
        ),
        (
            "rfc5280::nc::nc-permits-email-literal-asterisk-exact-match",
            below(
                &[mail("*@example.com")],
                &[],
                named(&[mail("*@example.com")]),
            ),
            Ok(()),
        ),
        (
            "rfc5280::nc::nc-permits-email-literal-asterisk-rejects-user",
            below(
                &[mail("*@example.com")],
                &[],
                named(&[mail("a@example.com")]),
            ),
            NC,
        ),
        (
            "rfc5280::nc::nc-forbids-othername",
            below(
                &[],
                core::slice::from_ref(&other),
                named(&[example(), other.clone()]),
            ),
            NC,
        ),
        (
            "rfc5280::nc::nc-forbids-othername-noop",
            below(&[], &[other], www()),
            Ok(()),
        ),
        (
            "rfc5280::nc::nc-forbids-dnsname-wildcard-san",
            below(
                &[],
                &[dns("foo.example.com")],
                named(&[dns("*.example.com")]),
            ),
            NC,
        ),
        (
            "cve::cve-2025-61727-nc-permits-variant",
            below(
                &[dns("foo.example.com")],
                &[],
                named(&[dns("*.example.com")]),
            ),
            NC,
        ),
        (
            "webpki::nc::nc-permits-dns-san-pattern",
            below(&[example()], &[], named(&[dns("*.example.com")])),
            Ok(()),
        ),
        (
            "webpki::nc::intermediate-permitted-excluded-subtrees-both-null",
            case(
                &[&ca("root").and(ext(30, true, seq(&[]))).self_signed()],
                &[],
                leaf("leaf").by(&root),
            ),
            Err("unreadable"),
        ),
        (
            "webpki::nc::intermediate-permitted-excluded-subtrees-both-empty-sequences",
            case(
                &[&ca("root")
                    .and(ext(30, true, seq(&[tlv(0xa0, &[]), tlv(0xa1, &[])])))
                    .self_signed()],
                &[],
                leaf("leaf").by(&root),
            ),
            Err("unreadable"),
        ),
    ]);
}

#[test]
fn path_lengths() {
    let at = |n: u8| {
        let root = ca("root").self_signed();
        let middle = ca("ica").path_len(n).by(&root);
        let below = ca("below").by(&middle);
        (root, middle, below)
    };
    let (root, zero, under_zero) = at(0);
    let (root1, one, under_one) = at(1);
    let deeper = ca("deeper").by(&under_one);
    let limited = ca("root0").path_len(0).self_signed();
    let wider = ca("wider").path_len(5).by(&limited);
    let same = {
        let mut forge = ca("ica");
        forge.subject = name("ica");
        forge.by(&zero)
    };
    let self_issued = {
        let mut forge = ca("root0");
        forge.subject = limited.subject.clone();
        forge.by(&limited)
    };
    let many: Vec<Made> = (0..4).fold(vec![ca("root").self_signed()], |mut chain, n| {
        let next = ca(&format!("c{n}")).by(chain.last().unwrap());
        chain.push(next);
        chain
    });
    let limit = |max: usize, leaf_of: usize| Case {
        max_intermediates: max,
        ..case(
            &[&many[0]],
            &many[1..].iter().collect::<Vec<_>>(),
            leaf("leaf").by(&many[leaf_of]),
        )
    };
    agree(vec![
        (
            "pathlen::ee-with-intermediate-pathlen-0",
            case(&[&root], &[&zero], leaf("leaf").by(&zero)),
            Ok(()),
        ),
        (
            "pathlen::ee-with-intermediate-pathlen-1",
            case(&[&root1], &[&one], leaf("leaf").by(&one)),
            Ok(()),
        ),
        (
            "pathlen::intermediate-violates-pathlen-0",
            case(
                &[&root],
                &[&zero, &under_zero],
                leaf("leaf").by(&under_zero),
            ),
            Err("path-length"),
        ),
        (
            "pathlen::intermediate-pathlen-may-increase",
            case(&[&root1], &[&one, &under_one], leaf("leaf").by(&under_one)),
            Ok(()),
        ),
        (
            "pathlen::intermediate-pathlen-too-long",
            case(&[&limited], &[&wider], leaf("leaf").by(&wider)),
            Err("path-length"),
        ),
        (
            "pathlen::intermediate-violates-pathlen-1",
            case(
                &[&root1],
                &[&one, &under_one, &deeper],
                leaf("leaf").by(&deeper),
            ),
            Err("path-length"),
        ),
        (
            "pathlen::self-issued-certs-pathlen",
            case(&[&limited], &[&self_issued], leaf("leaf").by(&self_issued)),
            Ok(()),
        ),
        (
            "pathlen::self-issued-below-pathlen-0",
            case(&[&root], &[&zero, &same], leaf("leaf").by(&same)),
            Ok(()),
        ),
        ("pathlen::max-chain-depth-0", limit(0, 0), Ok(())),
        (
            "pathlen::max-chain-depth-0-exhausted",
            limit(0, 1),
            Err("chain-too-long"),
        ),
        ("pathlen::max-chain-depth-1", limit(1, 1), Ok(())),
        (
            "pathlen::max-chain-depth-1-exhausted",
            limit(1, 2),
            Err("chain-too-long"),
        ),
    ]);
}

#[test]
fn pathological_chains() {
    // Two authorities that certify each other, and no anchor.
    let (a, b) = (ca("a").self_signed(), ca("b").self_signed());
    let crossed = |subject: &Made, issuer: &Made| {
        let mut forge = ca("x");
        (forge.key, forge.subject) = (subject.key.clone(), subject.subject.clone());
        forge.by(issuer)
    };
    let (ab, ba) = (crossed(&a, &b), crossed(&b, &a));
    let stranger = ca("stranger").self_signed();
    // One name, one key, many certificates.
    let twins: Vec<Made> = (0..8).map(|_| crossed(&a, &a)).collect();
    // One name, many keys: none of them made the signature.
    let same_name: Vec<Made> = (0..8).map(|_| ca("a").by(&b)).collect();
    // An expired intermediate and a fresh one of the same key.
    let root = ca("root").self_signed();
    let fresh = ca("ica").by(&root);
    let old = {
        let mut forge = ca("ica").times(NOW - 900, NOW - 800);
        forge.key = fresh.key.clone();
        forge.by(&root)
    };
    // An anchor that is not self-signed, and one that is cross-signed by a stranger.
    let middle = ca("middle").by(&root);
    agree(vec![
        (
            "pathological::multiple-chains-expired-intermediate",
            case(&[&root], &[&old, &fresh], leaf("leaf").by(&fresh)),
            Ok(()),
        ),
        (
            "pathological::intermediate-cycle-distinct-cas",
            case(&[&stranger], &[&ab, &ba], leaf("leaf").by(&a)),
            Err("unknown-issuer"),
        ),
        (
            "pathological::intermediate-cycle-same-logical-ca",
            case(
                &[&stranger],
                &twins.iter().collect::<Vec<_>>(),
                leaf("leaf").by(&a),
            ),
            Err("signature-budget"),
        ),
        (
            "pathological::pathological-chain-same-subject-distinct-key",
            case(
                &[&stranger],
                &same_name.iter().collect::<Vec<_>>(),
                leaf("leaf").by(&a),
            ),
            Err("bad-signature"),
        ),
        (
            "rfc5280::chain-untrusted-root",
            case(&[&stranger], &[&fresh], leaf("leaf").by(&fresh)),
            Err("unknown-issuer"),
        ),
        (
            "rfc5280::root-and-intermediate-swapped",
            case(&[&middle], &[&root], leaf("leaf").by(&middle)),
            Ok(()),
        ),
        (
            "cross-signed-by-a-stranger",
            case(&[&a], &[&ab], leaf("leaf").by(&a)),
            Ok(()),
        ),
    ]);
}

#[test]
fn validity() {
    let root = || ca("root");
    let made = root().self_signed();
    let over = |from, until| case(&[&made], &[], leaf("leaf").times(from, until).by(&made));
    let expired_root = root().times(NOW - 900, NOW - 1).self_signed();
    let expired_ica = ca("ica").times(NOW - 900, NOW - 1).by(&made);
    let fractional = {
        let mut forge = leaf("leaf");
        forge.times[1] = tlv(0x18, b"20250101000000.5Z");
        forge.by(&made)
    };
    agree(vec![
        (
            "rfc5280::validity::expired-root",
            case(&[&expired_root], &[], leaf("leaf").by(&expired_root)),
            Err("expired"),
        ),
        (
            "rfc5280::validity::expired-intermediate",
            case(&[&made], &[&expired_ica], leaf("leaf").by(&expired_ica)),
            Err("expired"),
        ),
        (
            "rfc5280::validity::expired-leaf",
            over(NOW - 900, NOW - 800),
            Err("expired"),
        ),
        (
            "rfc5280::validity::notbefore-exact",
            over(NOW, NOW + 1),
            Ok(()),
        ),
        (
            "rfc5280::validity::notafter-exact",
            over(NOW - 1, NOW),
            Ok(()),
        ),
        (
            "rfc5280::validity::expired-1-second",
            over(NOW - 9, NOW - 1),
            Err("expired"),
        ),
        (
            "rfc5280::validity::expired-5-seconds",
            over(NOW - 9, NOW - 5),
            Err("expired"),
        ),
        (
            "rfc5280::validity::not-yet-valid-1-second",
            over(NOW + 1, NOW + 9),
            Err("not-yet-valid"),
        ),
        (
            "rfc5280::validity::not-yet-valid-5-seconds",
            over(NOW + 5, NOW + 9),
            Err("not-yet-valid"),
        ),
        (
            "rfc5280::validity::fractional-form",
            case(&[&made], &[], fractional),
            Err("certificate-profile"),
        ),
    ]);
    assert_eq!(time(NOW), tlv(0x18, b"20240101000000Z"));
}

#[test]
fn shapes_of_certificates() {
    let root = ca("root").self_signed();
    let by = |forge: Forge| case(&[&root], &[], forge.by(&root));
    let unknown = |critical| raw_ext(&[0x2a, 3, 4], critical, vec![5, 0]);
    let below = |forge: Forge| {
        let ica = forge.by(&root);
        case(&[&root], &[&ica], leaf("leaf").by(&ica))
    };
    let rooted = |forge: Forge| {
        let root = forge.self_signed();
        case(&[&root], &[], leaf("leaf").by(&root))
    };
    let eku = |oids: &[&[u8]]| {
        ext(
            37,
            false,
            seq(&oids.iter().map(|oid| tlv(6, oid)).collect::<Vec<_>>()),
        )
    };
    let for_server = |case: Case| Case {
        server_auth: true,
        ..case
    };
    let odd_root = ca("odd").and(unknown(true)).self_signed();
    let v1 = {
        let mut forge = leaf("leaf");
        forge.version = vec![];
        forge.extensions.clear();
        forge
    };
    let mismatched = {
        let mut forge = leaf("leaf");
        forge.inner_algorithm = seq(&[vec![6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3]]);
        forge
    };
    let explicit = {
        let mut forge = leaf("leaf");
        forge.spki = Some(seq(&[
            seq(&[
                vec![6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1],
                seq(&[vec![2, 1, 1]]),
            ]),
            tlv(3, &[0, 4]),
        ]));
        forge
    };
    let p192 = {
        let mut forge = leaf("leaf");
        forge.spki = Some(seq(&[
            seq(&[
                vec![6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1],
                vec![6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 1],
            ]),
            tlv(3, &[&[0, 4][..], &[1; 48]].concat()),
        ]));
        forge
    };
    agree(vec![
        (
            "rfc5280::unknown-critical-extension-ee",
            by(leaf("leaf").and(unknown(true))),
            Err("critical-extension"),
        ),
        (
            "rfc5280::unknown-noncritical-extension-ee",
            by(leaf("leaf").and(unknown(false))),
            Ok(()),
        ),
        (
            "rfc5280::unknown-critical-extension-root",
            rooted(ca("root").and(unknown(true))),
            Err("critical-extension"),
        ),
        (
            "rfc5280::unknown-critical-extension-unrelated-root",
            case(&[&odd_root, &root], &[], leaf("leaf").by(&root)),
            Ok(()),
        ),
        (
            "rfc5280::unknown-critical-extension-intermediate",
            below(ca("ica").and(unknown(true))),
            Err("critical-extension"),
        ),
        (
            "rfc5280::intermediate-ca-without-ca-bit",
            below(ca("ica").instead(19, Some(ext(19, true, basic(false, None))))),
            Err("issuer-not-ca"),
        ),
        (
            "rfc5280::intermediate-ca-missing-basic-constraints",
            below(ca("ica").instead(19, None)),
            Err("issuer-not-ca"),
        ),
        (
            "rfc5280::root-missing-basic-constraints",
            rooted(ca("root").instead(19, None)),
            Err("issuer-not-ca"),
        ),
        (
            "rfc5280::ica-ku-keycertsign",
            below(ca("ica").instead(15, Some(ext(15, true, usage(0x8000))))),
            Err("key-usage"),
        ),
        (
            "rfc5280::leaf-ku-keycertsign",
            by(leaf("leaf")
                .instead(19, None)
                .instead(15, Some(ext(15, true, usage(0x8400))))),
            Err("leaf-is-ca"),
        ),
        (
            "webpki::ee-basicconstraints-ca",
            by(leaf("leaf").instead(19, Some(ext(19, true, basic(true, None))))),
            Err("leaf-is-ca"),
        ),
        (
            "rfc5280::no-keyusage",
            by(leaf("leaf").instead(15, None)),
            Ok(()),
        ),
        (
            "rfc5280::no-basicconstraints",
            by(leaf("leaf").instead(19, None)),
            Ok(()),
        ),
        (
            "rfc5280::duplicate-extensions",
            by(leaf("leaf").and(ext(17, false, seq(&[dns("example.com")])))),
            Err("unreadable"),
        ),
        (
            "rfc5280::mismatching-signature-algorithm",
            by(mismatched),
            Err("unreadable"),
        ),
        (
            "rfc5280::ee-aia",
            by(leaf("leaf").and(raw_ext(&[0x2b, 6, 1, 5, 5, 7, 1, 1], false, seq(&[])))),
            Ok(()),
        ),
        (
            "rfc5280::ee-critical-aia-invalid",
            by(leaf("leaf").and(raw_ext(&[0x2b, 6, 1, 5, 5, 7, 1, 1], true, seq(&[])))),
            Err("critical-extension"),
        ),
        (
            "rfc5280::eku::ee-eku-empty",
            for_server(by(leaf("leaf").and(eku(&[])))),
            Err("certificate-profile"),
        ),
        (
            "rfc5280::eku::ee-wrong-eku",
            for_server(by(leaf("leaf").and(eku(&[&CLIENT_AUTH])))),
            Err("extended-key-usage"),
        ),
        (
            "rfc5280::eku::ee-without-eku",
            for_server(by(leaf("leaf"))),
            Ok(()),
        ),
        (
            "rfc5280::eku::ica-wrong-eku",
            for_server(below(ca("ica").and(eku(&[&CLIENT_AUTH])))),
            Err("extended-key-usage"),
        ),
        (
            "rfc5280::serial::too-long",
            by(leaf("leaf").serial(&[0x40; 21])),
            Err("certificate-profile"),
        ),
        (
            "rfc5280::serial::zero",
            by(leaf("leaf").serial(&[0])),
            Err("certificate-profile"),
        ),
        (
            "rfc5280::serial::negative",
            by(leaf("leaf").serial(&[0xff, 1])),
            Err("certificate-profile"),
        ),
        (
            "rfc5280::san::noncritical-with-empty-subject",
            by(leaf("").san(&[dns("example.com")])),
            Err("certificate-profile"),
        ),
        (
            "rfc5280::san::critical-with-empty-subject",
            by(leaf("")),
            Ok(()),
        ),
        (
            "rfc5280::san::malformed",
            by(leaf("leaf").instead(17, Some(ext(17, false, vec![0x30, 5, 0x82])))),
            Err("unreadable"),
        ),
        (
            "rfc5280::san::empty",
            by(leaf("leaf").san(&[])),
            Err("certificate-profile"),
        ),
        (
            "rfc5280::aki::critical-aki",
            by(leaf("leaf").and(ext(35, true, seq(&[general(0, &[1; 20])])))),
            Err("certificate-profile"),
        ),
        (
            "rfc5280::ski::critical-ski",
            by(leaf("leaf").and(ext(14, true, tlv(4, &[1; 20])))),
            Err("certificate-profile"),
        ),
        (
            "rfc5280::pc::ica-noncritical-pc",
            below(ca("ica").and(ext(36, false, seq(&[tlv(0x80, &[0])])))),
            Err("certificate-profile"),
        ),
        (
            "rfc5280::pc::ica-critical-pc",
            below(ca("ica").and(ext(36, true, seq(&[tlv(0x80, &[0])])))),
            Err("critical-extension"),
        ),
        ("webpki::v1-cert", by(v1), Err("certificate-profile")),
        (
            "webpki::explicit-curve",
            by(explicit),
            Err("unsupported-key"),
        ),
        (
            "webpki::forbidden-p192-leaf",
            by(p192),
            Err("unsupported-key"),
        ),
    ]);
}

#[test]
fn revocation_lists() {
    let root = ca("root").self_signed();
    let other = ca("root").self_signed();
    let unsigning = ca("root")
        .instead(15, Some(ext(15, true, usage(0x0400))))
        .self_signed();
    let silent = ca("root").instead(15, None).self_signed();
    let serial: &[u8] = &[0x41, 7];
    let with = |issuer: &Made, crls: Vec<Vec<u8>>| Case {
        crls,
        ..case(&[issuer], &[], leaf("leaf").serial(serial).by(issuer))
    };
    let numbered = Some(false);
    agree(vec![
        (
            "crl::revoked-certificate-with-crl",
            with(&root, vec![crl(&root, &[serial], numbered)]),
            Err("revoked"),
        ),
        (
            "crl::crlnumber-missing",
            with(&root, vec![crl(&root, &[], None)]),
            Err("unreadable"),
        ),
        (
            "crl::crlnumber-critical",
            with(&root, vec![crl(&root, &[], Some(true))]),
            Err("unreadable"),
        ),
        (
            "crl::certificate-not-on-crl",
            with(&root, vec![crl(&root, &[&[0x41, 8]], numbered)]),
            Ok(()),
        ),
        (
            "crl::certificate-serial-on-crl-different-issuer",
            with(
                &root,
                vec![crl(&other, &[serial], numbered), crl(&root, &[], numbered)],
            ),
            Ok(()),
        ),
        (
            "crl::only-a-crl-of-another-key",
            with(&root, vec![crl(&other, &[], numbered)]),
            Err("crl-missing"),
        ),
        (
            "crl::issuer-missing-crlsign",
            with(&unsigning, vec![crl(&unsigning, &[], numbered)]),
            Err("crl-issuer"),
        ),
        (
            "crl::issuer-no-keyusage-extension",
            with(&silent, vec![crl(&silent, &[], numbered)]),
            Ok(()),
        ),
    ]);
}
