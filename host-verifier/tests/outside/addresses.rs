//! Which addresses may be asked, in every notation, by literal and by name, for each method's rule. Names are real ones.

use assay_host_verifier::outside::client::Client;
use assay_host_verifier::outside::{
    AddressClass, ErrorKind, Outbound, Reach, Scheme, Target, TargetError,
};

use super::dns;

/// What comes of asking somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Asked.
    Yes,
    /// Asked where private addresses are.
    Private,
    /// Never: the address.
    Class(AddressClass),
    /// Never: the notation.
    Form(TargetError),
    /// Never: there is nobody.
    Nobody,
}

use AddressClass::{LinkLocal, Loopback, Metadata, Multicast, Reserved, Unspecified};
use Fate::{Class, Form, Nobody, Private, Yes};
use TargetError::{Character, Host, Ipv4, Ipv6, Literal, User};

/// As the rest of an URL between `//` and the next slash.
const LITERALS: &[(&str, Fate)] = &[
    ("93.184.215.14", Yes),
    ("[2606:2800:21f:cb07:6820:80da:af6b:8b2c]", Yes),
    ("[64:ff9b::5db8:d70e]", Yes),
    ("10.0.0.1", Private),
    ("172.16.0.1", Private),
    ("172.31.255.255", Private),
    ("172.32.0.1", Yes),
    ("192.168.1.1", Private),
    ("100.64.0.1", Private),
    ("100.127.255.255", Private),
    ("[fc00::1]", Private),
    ("[fdff::1]", Private),
    ("[64:ff9b::a00:1]", Private),
    ("127.0.0.1", Class(Loopback)),
    ("127.255.255.254", Class(Loopback)),
    ("[::1]", Class(Loopback)),
    ("[0:0:0:0:0:0:0:1]", Class(Loopback)),
    ("[::ffff:127.0.0.1]", Class(Loopback)),
    ("[::ffff:7f00:1]", Class(Loopback)),
    ("[::127.0.0.1]", Class(Loopback)),
    ("[::ffff:0:127.0.0.1]", Class(Loopback)),
    ("[64:ff9b::7f00:1]", Class(Loopback)),
    ("[2002:7f00:1::]", Class(Loopback)),
    ("[2001:0:4136:e378:8000:63bf:80ff:fffe]", Class(Loopback)),
    ("0.0.0.0", Class(Unspecified)),
    ("0.1.2.3", Class(Unspecified)),
    ("[::]", Class(Unspecified)),
    ("169.254.169.254", Class(LinkLocal)),
    ("[::ffff:169.254.169.254]", Class(LinkLocal)),
    ("[64:ff9b::a9fe:a9fe]", Class(LinkLocal)),
    ("[2002:a9fe:a9fe::1]", Class(LinkLocal)),
    ("[fe80::1]", Class(LinkLocal)),
    ("[febf::1]", Class(LinkLocal)),
    ("[fec0::1]", Class(LinkLocal)),
    ("168.63.129.16", Class(Metadata)),
    ("100.100.100.200", Class(Metadata)),
    ("192.0.0.192", Class(Metadata)),
    ("[fd00:ec2::254]", Class(Metadata)),
    ("[fd20:ce::254]", Class(Metadata)),
    ("[::ffff:168.63.129.16]", Class(Metadata)),
    ("224.0.0.1", Class(Multicast)),
    ("255.255.255.255", Class(Multicast)),
    ("[ff02::1]", Class(Multicast)),
    ("[ff02::5efe:10.0.0.1]", Class(Multicast)),
    ("240.0.0.1", Class(Reserved)),
    ("192.0.2.1", Class(Reserved)),
    ("198.18.0.1", Class(Reserved)),
    ("[2001:db8::1]", Class(Reserved)),
    ("[100::1]", Class(Reserved)),
    ("[4000::1]", Class(Reserved)),
    ("[::ffff:93.184.215.14]", Class(Reserved)),
    ("[2002:5db8:d70e::1]", Class(Reserved)),
    ("[64:ff9b:1::5db8:d70e]", Class(Reserved)),
    ("127.1", Form(Ipv4)),
    ("127.0.1", Form(Ipv4)),
    ("2130706433", Form(Ipv4)),
    ("0x7f000001", Form(Ipv4)),
    ("0x7f.0.0.1", Form(Ipv4)),
    ("0X7F.0.0.0x1", Form(Ipv4)),
    ("017700000001", Form(Ipv4)),
    ("0177.0.0.01", Form(Ipv4)),
    ("127.000.000.001", Form(Ipv4)),
    ("127.0.0.1.", Form(Ipv4)),
    ("4294967297", Form(Ipv4)),
    ("1.1.1.257", Form(Ipv4)),
    ("[fe80::1%25eth0]", Form(Ipv6)),
    ("[::1%lo]", Form(Ipv6)),
    ("[127.0.0.1]", Form(Ipv6)),
    ("[::ffff:0x7f.1]", Form(Ipv6)),
    ("[0000:0000:0000:0000:0000:0000:0000:00001]", Form(Ipv6)),
    ("127%2e0%2e0%2e1", Form(Host)),
    ("%31%32%37.0.0.1", Form(Ipv4)),
    ("\u{ff11}\u{ff12}\u{ff17}.0.0.1", Form(Character)),
    ("\u{2460}\u{2461}\u{2466}.0.0.1", Form(Character)),
    ("127\u{3002}0\u{3002}0\u{3002}1", Form(Character)),
    ("127.0.0.1\\.public.assay.test", Form(Character)),
    ("public.assay.test@127.0.0.1", Form(User)),
    ("user:pass@public.assay.test", Form(User)),
    ("public.assay.test:80@127.0.0.1", Form(User)),
];

const NAMES: &[(&str, Fate)] = &[
    ("public.assay.test", Yes),
    ("Public.Assay.TEST", Yes),
    ("public.assay.test.", Yes),
    ("nat64.assay.test", Yes),
    ("private.assay.test", Private),
    ("unique.assay.test", Private),
    ("shared.assay.test", Private),
    ("nat64private.assay.test", Private),
    ("mixedprivate.assay.test", Private),
    ("localhost", Class(Loopback)),
    ("localhost.", Class(Loopback)),
    ("LOCALHOST", Class(Loopback)),
    ("anything.localhost", Class(Loopback)),
    ("loop.assay.test", Class(Loopback)),
    ("loop6.assay.test", Class(Loopback)),
    ("loopcname.assay.test", Class(Loopback)),
    ("mapped.assay.test", Class(Loopback)),
    ("sixtofour.assay.test", Class(Loopback)),
    ("nat64loop.assay.test", Class(Loopback)),
    ("mixed.assay.test", Class(Loopback)),
    ("mixedfamily.assay.test", Class(Loopback)),
    ("zero.assay.test", Class(Unspecified)),
    ("link.assay.test", Class(LinkLocal)),
    ("link6.assay.test", Class(LinkLocal)),
    ("azure.assay.test", Class(Metadata)),
    ("aws6.assay.test", Class(Metadata)),
    ("many.assay.test", Class(Multicast)),
    ("broadcast.assay.test", Class(Multicast)),
    ("mappedpublic.assay.test", Class(Reserved)),
    ("documentation.assay.test", Class(Reserved)),
    ("empty.assay.test", Nobody),
    ("dangling.assay.test", Nobody),
    ("nobody.assay.test", Nobody),
];

/// The rules: a node's own name, an issuer's keys, an operator's webhook; each with what it may reach.
fn rules() -> [(&'static str, Reach); 5] {
    let node = Reach {
        plain: true,
        literals: false,
        private: false,
        metadata: false,
    };
    [
        ("http_dns", node),
        ("http_dns, private allowed", node.with_private(true)),
        ("jwks", Reach::PUBLIC),
        ("jwks, private allowed", Reach::PUBLIC.with_private(true)),
        ("webhook", Reach::OPERATORS),
    ]
}

#[tokio::test]
async fn every_notation_of_every_address_is_refused_or_allowed_as_the_methods_rule_says() {
    assert!(LITERALS.len() + NAMES.len() >= 60);
    let client = dns::shared().client(false);
    let table = LITERALS.iter().map(|row| (row, true));
    for ((host, fate), literal) in table.chain(NAMES.iter().map(|row| (row, false))) {
        for (rule, reach) in rules() {
            let found = client
                .addresses(&format!("https://{host}:8443/x"), reach)
                .await;
            let found = found.map(|_| ()).map_err(|error| error.kind);
            let expected = match fate {
                Form(why) => Err(ErrorKind::Url(*why)),
                _ if literal && !reach.literals => Err(ErrorKind::Url(Literal)),
                Yes => Ok(()),
                Private if reach.private => Ok(()),
                Private => Err(ErrorKind::Address(AddressClass::Private)),
                Class(class) => Err(ErrorKind::Address(*class)),
                Nobody => Err(ErrorKind::NameNotFound),
            };
            assert_eq!(found, expected, "{host:?} by the rule of {rule}");
        }
    }
}

#[tokio::test]
async fn the_machines_operator_can_allow_loopback_and_nothing_else_by_it() {
    let client = dns::shared().client(true);
    for (host, fate) in LITERALS.iter().chain(NAMES) {
        let url = format!("https://{host}/");
        let found = client.addresses(&url, Reach::OPERATORS);
        let allowed = matches!(fate, Yes | Private | Class(Loopback));
        // What carries a loopback address inside is no more than that address.
        assert_eq!(found.await.is_ok(), allowed, "{host:?}");
    }
}

/// Whoever sets a policy reaches no further than the operator of the machine lets it.
#[tokio::test]
async fn the_machines_operator_says_which_private_networks_are_asked() {
    let client = |networks: &[&str]| {
        let networks: Vec<_> = networks.iter().map(|n| n.parse().unwrap()).collect();
        Client::new(&Outbound {
            private_networks: Some(networks.into()),
            ..Outbound::default()
        })
    };
    let (none, one) = (client(&[]), client(&["10.20.0.0/16", "fd00:1::/32"]));
    for (host, allowed) in [
        ("10.20.255.1", true),
        ("[fd00:1::9]", true),
        ("10.21.0.1", false),
        ("192.168.0.1", false),
        ("[fd00:2::9]", false),
    ] {
        let url = format!("https://{host}/");
        let found = one.addresses(&url, Reach::OPERATORS).await;
        assert_eq!(found.is_ok(), allowed, "{host}");
        for (client, reach) in [
            (&none, Reach::OPERATORS),
            (&one, Reach::PUBLIC),
            (&none, Reach::PUBLIC.with_private(true)),
        ] {
            let refused = client.addresses(&url, reach).await.unwrap_err();
            let private = ErrorKind::Address(AddressClass::Private);
            assert_eq!(refused.kind, private, "{host}");
        }
    }
    // What is public stays so.
    let found = none.addresses("https://1.1.1.1/", Reach::PUBLIC).await;
    assert!(found.is_ok());
}

/// A node names itself, and may have its name stand for 127.0.0.1.
#[tokio::test]
async fn loopback_that_is_allowed_is_not_for_agents_to_choose() {
    let (strict, open) = (dns::shared().client(false), dns::shared().client(true));
    for (rule, reach) in rules() {
        if !reach.plain {
            continue;
        }
        for (name, fate) in NAMES {
            let url = format!("http://{name}:8080/");
            let found = open.addresses(&url, reach).await;
            assert_eq!(found, strict.addresses(&url, reach).await, "{name} {rule}");
            if *fate == Class(Loopback) {
                let refused = ErrorKind::Address(Loopback);
                assert_eq!(found.unwrap_err().kind, refused, "{name} {rule}");
            }
        }
    }
}

#[tokio::test]
async fn in_the_clear_goes_only_what_the_method_allows() {
    let client = dns::shared().client(false);
    for (rule, reach) in rules() {
        let found = client.addresses("http://public.assay.test/", reach).await;
        assert_eq!(found.is_ok(), rule.starts_with("http_dns"), "{rule}");
    }
}

#[test]
fn an_agent_cannot_name_an_address_whatever_its_notation() {
    for (host, _) in LITERALS {
        let named = Target::named(Scheme::Http, host, 80, "/".to_owned());
        assert!(named.is_err(), "{host:?}");
    }
}
