//! Which addresses may be asked.
//!
//! Whoever lets others say where a request goes (`http_dns`: a node that has proven nothing; JWKS: a document that somebody
//! serves) opens what the verifier's machine reaches and they do not: its own services, the cloud's metadata, the network
//! behind the firewall. So every address is sorted before a packet leaves, and the method says which sorts it may talk to.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which addresses and schemes a method may talk to. Public addresses always; never those that nobody serves from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reach {
    /// `http:` beside `https:`.
    pub plain: bool,
    /// An IP address in the place of the name.
    pub literals: bool,
    /// RFC 1918, unique-local and shared (RFC 6598) addresses.
    pub private: bool,
    /// The metadata service of the cloud that the verifier runs in, over HTTP, and nothing else.
    pub metadata: bool,
}

impl Reach {
    /// What an issuer of tokens has: HTTPS, public addresses.
    pub const PUBLIC: Self = Self {
        plain: false,
        literals: true,
        private: false,
        metadata: false,
    };
    /// What an operator chose, word for word: HTTPS, private addresses too.
    pub const OPERATORS: Self = Self {
        plain: false,
        literals: true,
        private: true,
        metadata: false,
    };

    /// What a cloud tells the machine that asks: link-local, in the clear. For the verifier's own credentials; no method that an
    /// agent or a policy aims has it.
    pub const METADATA: Self = Self {
        plain: true,
        literals: true,
        private: false,
        metadata: true,
    };

    /// Whether agents choose whom to ask.
    #[must_use]
    pub const fn is_agents(self) -> bool {
        self.plain && !self.metadata
    }

    /// With or without private addresses.
    #[must_use]
    pub const fn with_private(self, private: bool) -> Self {
        Self { private, ..self }
    }

    /// Whether addresses of this class may be asked. Loopback never: only the operator of the machine can say that
    /// (`outbound.allowLoopback`), for what agents do not choose; no policy can.
    #[must_use]
    pub const fn allows(self, class: AddressClass) -> bool {
        match class {
            AddressClass::LinkLocal | AddressClass::Metadata => self.metadata,
            AddressClass::Public => !self.metadata,
            AddressClass::Private => self.private && !self.metadata,
            _ => false,
        }
    }
}

/// What an address is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressClass {
    /// Reached from everywhere.
    Public,
    /// Of the network around: RFC 1918, RFC 6598, `fc00::/7`.
    Private,
    /// This machine: 127.0.0.0/8, `::1`.
    Loopback,
    /// No address at all: 0.0.0.0/8, `::`.
    Unspecified,
    /// The same cable: 169.254.0.0/16, `fe80::/10`, `fec0::/10`. The metadata of most clouds is here.
    LinkLocal,
    /// A cloud's metadata at another address.
    Metadata,
    /// To many: multicast and broadcast.
    Multicast,
    /// Set aside: documentation, benchmarks, 240.0.0.0/4, what IANA has not given out, and everything that tunnels to an
    /// IPv4 address which could not be asked itself.
    Reserved,
}

impl core::fmt::Display for AddressClass {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Loopback => "loopback",
            Self::Unspecified => "unspecified",
            Self::LinkLocal => "link-local",
            Self::Metadata => "metadata",
            Self::Multicast => "multicast",
            Self::Reserved => "reserved",
        })
    }
}

impl AddressClass {
    /// Sorts an address. One that carries an IPv4 address inside (mapped, compatible, 6to4, NAT64, Teredo, ISATAP) is what
    /// that address is: the network would take it there.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => of_v4(v4),
            IpAddr::V6(v6) => of_v6(v6),
        }
    }
}

/// Metadata services that are neither link-local nor otherwise out of reach: Azure's wire server, Oracle, Alibaba.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(100, 100, 100, 200),
];
/// AWS (`fd00:ec2::254`, and its DNS and time servers beside it) and Google (`fd20:ce::254`).
const METADATA_V6: [(u128, u32); 2] = [
    (0xfd00_0ec2_0000_0000_0000_0000_0000_0000, 32),
    (0xfd20_00ce_0000_0000_0000_0000_0000_0000, 32),
];

/// IANA IPv4 Special-Purpose Address Registry, narrowest first.
fn of_v4(address: Ipv4Addr) -> AddressClass {
    use AddressClass::{
        LinkLocal, Loopback, Metadata, Multicast, Private, Public, Reserved, Unspecified,
    };
    if METADATA_V4.contains(&address) {
        return Metadata;
    }
    match address.octets() {
        [0, ..] => Unspecified,
        [127, ..] => Loopback,
        [169, 254, ..] => LinkLocal,
        [10, ..] | [192, 168, ..] => Private,
        [172, b, ..] if (16..32).contains(&b) => Private,
        [100, b, ..] if (64..128).contains(&b) => Private,
        [255, 255, 255, 255] => Multicast,
        [224..=239, ..] => Multicast,
        [240..=255, ..] => Reserved,
        [192, 0, 0, _] | [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Reserved,
        // The way into 6to4, and AS112's sink of questions about private addresses.
        [192, 88, 99, _] | [192, 31, 196, _] | [192, 52, 193, _] | [192, 175, 48, _] => Reserved,
        [198, 18 | 19, ..] => Reserved,
        _ => Public,
    }
}

fn of_v6(address: Ipv6Addr) -> AddressClass {
    use AddressClass::{Metadata, Private, Public, Reserved};
    let bits = address.to_bits();
    let is_metadata = METADATA_V6
        .iter()
        .any(|(prefix, len)| bits >> (128 - len) == prefix >> (128 - len));
    if is_metadata {
        return Metadata;
    }
    let own = by_prefix(address);
    match (own, inner_v4(address).map(of_v4)) {
        (own, None) => own,
        // NAT64 is how a network without IPv4 reaches all that has nothing else (RFC 6147).
        (Reserved, Some(inner)) if is_nat64(address) => inner,
        // Any other way in is nothing that a server answers from.
        (_, Some(Public)) => Reserved,
        (Public | Private | Reserved, Some(inner)) => inner,
        (own, Some(_)) => own,
    }
}

fn by_prefix(address: Ipv6Addr) -> AddressClass {
    use AddressClass::{LinkLocal, Loopback, Multicast, Private, Public, Reserved, Unspecified};
    if address.is_unspecified() {
        return Unspecified;
    }
    if address.is_loopback() {
        return Loopback;
    }
    let [first, second, ..] = address.segments();
    match first {
        _ if first & 0xff00 == 0xff00 => Multicast,
        _ if first & 0xffc0 == 0xfe80 || first & 0xffc0 == 0xfec0 => LinkLocal,
        _ if first & 0xfe00 == 0xfc00 => Private,
        // IETF protocol assignments (Teredo, ORCHID, benchmarks), documentation, 6to4.
        0x2001 if second < 0x0200 || second == 0x0db8 => Reserved,
        0x3fff if second < 0x1000 => Reserved,
        0x2002 => Reserved,
        // What IANA has given out to be reached: 2000::/3, and nothing else.
        _ if first & 0xe000 == 0x2000 => Public,
        _ => Reserved,
    }
}

/// The well-known prefix (RFC 6052), and no other: a local one may put the address anywhere.
fn is_nat64(address: Ipv6Addr) -> bool {
    matches!(address.segments(), [0x64, 0xff9b, 0, 0, 0, 0, ..])
}

/// The IPv4 address that an IPv6 address carries, whichever way.
pub(super) fn inner_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let v4 =
        |high: u16, low: u16| Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match s {
        // Mapped (::ffff:0:0/96), compatible (::/96), translated (::ffff:0:0:0/96).
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => v4(high, low),
        [0, 0, 0, 0, 0xffff, 0, high, low] => v4(high, low),
        // NAT64, well-known (RFC 6052) and local (RFC 8215), whose last bits are the usual place.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x64, 0xff9b, 1, .., high, low] => v4(high, low),
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => v4(high, low),
        // Teredo (RFC 4380): the client's address, inverted.
        [0x2001, 0, .., high, low] => v4(!high, !low),
        // ISATAP (RFC 5214), whatever the prefix.
        [_, _, _, _, 0 | 0x0200, 0x5efe, high, low] => v4(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{AddressClass, Reach};

    #[test]
    fn a_clouds_metadata_is_for_who_asks_for_nothing_else() {
        use AddressClass::{LinkLocal, Loopback, Metadata, Multicast, Private, Public, Reserved};
        for class in [LinkLocal, Metadata] {
            assert!(Reach::METADATA.allows(class), "{class}");
            assert!(!Reach::OPERATORS.allows(class), "{class}");
        }
        for class in [Public, Private, Loopback, Multicast, Reserved] {
            assert!(!Reach::METADATA.allows(class), "{class}");
        }
        assert!(!Reach::METADATA.with_private(true).allows(Private));
        assert!(!Reach::METADATA.is_agents());
    }

    #[test]
    fn a_policy_can_open_private_addresses_and_nothing_else() {
        use AddressClass::{
            LinkLocal, Loopback, Metadata, Multicast, Private, Public, Reserved, Unspecified,
        };
        for reach in [Reach::PUBLIC, Reach::OPERATORS] {
            assert!(reach.allows(Public));
            for class in [
                Loopback,
                Unspecified,
                LinkLocal,
                Metadata,
                Multicast,
                Reserved,
            ] {
                assert!(!reach.allows(class), "{class}");
            }
        }
        assert!(!Reach::PUBLIC.allows(Private));
        assert!(Reach::OPERATORS.allows(Private));
        assert!(Reach::PUBLIC.with_private(true).allows(Private));
    }
}
