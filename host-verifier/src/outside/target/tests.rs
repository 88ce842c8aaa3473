//! Spellings of URLs and names.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::{Scheme, Target, TargetError, parse_name};

#[test]
fn a_plain_url_leads_where_it_says() {
    for (url, origin, port, path) in [
        ("https://a.example", "https://a.example", 443, "/"),
        (
            "https://A.Example.:8443/x?y=1",
            "https://a.example:8443",
            8443,
            "/x?y=1",
        ),
        ("http://a.example?y", "http://a.example", 80, "/?y"),
        (
            "https://a.example:443/%7Ea",
            "https://a.example",
            443,
            "/%7Ea",
        ),
        ("https://192.0.2.1:1/", "https://192.0.2.1:1", 1, "/"),
        (
            "https://[2001:DB8:0::1]/",
            "https://[2001:db8::1]",
            443,
            "/",
        ),
        ("https://[::1]:8443", "https://[::1]:8443", 8443, "/"),
        (
            "https://xn--bcher-kva.example/",
            "https://xn--bcher-kva.example",
            443,
            "/",
        ),
    ] {
        let target = Target::parse(url).unwrap();
        assert_eq!(
            (target.origin().as_str(), target.port),
            (origin, port),
            "{url}"
        );
        assert_eq!(target.path, path, "{url}");
        assert_eq!(Target::parse(&target.url()), Ok(target));
    }
}

#[test]
fn every_other_spelling_is_refused_for_its_own_reason() {
    use TargetError::{Character, Host, Ipv4, Ipv6, Long, Percent, Port, User};
    let long = format!("https://a.example/{}", "a".repeat(2048));
    let label = format!("https://{}.example/", "a".repeat(64));
    let name = format!("https://{}example/", "abcdefg.".repeat(31));
    for (url, why) in [
        ("ftp://a.example/", TargetError::Scheme),
        ("HTTPS://a.example/", TargetError::Scheme),
        ("//a.example/", TargetError::Scheme),
        ("a.example", TargetError::Scheme),
        ("file:///etc/passwd", TargetError::Scheme),
        ("gopher://a.example:25/_x", TargetError::Scheme),
        (" https://a.example/", Character),
        ("https://a.example/\r\nHost: b", Character),
        ("https://a.example\\@b.example/", Character),
        ("https://a.example#@b.example/", Character),
        ("https://a.example/ä", Character),
        ("https://b\u{fc}cher.example/", Character),
        ("https://a\u{3002}example/", Character),
        ("https://user@a.example/", User),
        ("https://user:pass@a.example/", User),
        ("https://a.example:80@b.example/", User),
        ("https://a.example:/", Port),
        ("https://a.example:0/", Port),
        ("https://a.example:00443/", Port),
        ("https://a.example:65536/", Port),
        ("https://a.example:+443/", Port),
        ("https://a.example:44:3/", Port),
        ("https://[::1]443/", Port),
        ("https:///a.example/", Host),
        ("https://./", Host),
        ("https://a..example/", Host),
        ("https://a.example../", Host),
        ("https://.a.example/", Host),
        ("https://-a.example/", Host),
        ("https://a-.example/", Host),
        ("https://a_b.example/", Host),
        ("https://a%2eexample/", Host),
        ("https://*.example/", Host),
        (label.as_str(), Host),
        (name.as_str(), Host),
        (long.as_str(), Long),
        ("https://127.1/", Ipv4),
        ("https://2130706433/", Ipv4),
        ("https://0x7f.0.0.1/", Ipv4),
        ("https://0x7f000001/", Ipv4),
        ("https://0177.0.0.1/", Ipv4),
        ("https://127.0.0.1./", Ipv4),
        ("https://1.2.3.256/", Ipv4),
        ("https://a.example.1/", Ipv4),
        ("https://a.0x/", Ipv4),
        ("https://[::1/", Ipv6),
        ("https://[fe80::1%25eth0]/", Ipv6),
        ("https://[127.0.0.1]/", Ipv6),
        ("https://[a.example]/", Ipv6),
        ("https://[v1.x]/", Ipv6),
        ("https://a.example/%", Percent),
        ("https://a.example/%2", Percent),
        ("https://a.example/%zz", Percent),
    ] {
        assert_eq!(Target::parse(url), Err(why), "{url}");
    }
}

#[test]
fn a_name_is_never_an_address() {
    assert_eq!(parse_name("Node7.Lan."), Ok("node7.lan".to_owned()));
    assert_eq!(parse_name("7node"), Ok("7node".to_owned()));
    for literal in [
        "127.0.0.1",
        "0x7f.1",
        "1",
        "[::1]",
        "::1",
        "fe80::1%eth0",
        "10.0.0.1:80",
    ] {
        assert_eq!(parse_name(literal), Err(TargetError::Literal), "{literal}");
    }
    for none in ["", ".", "a b", "a/b", "a@b", "\u{fc}", "a%00"] {
        assert_eq!(parse_name(none), Err(TargetError::Host), "{none}");
    }
    let port = Target::named(Scheme::Http, "a.example", 0, "/".to_owned());
    assert_eq!(port, Err(TargetError::Port));
}
