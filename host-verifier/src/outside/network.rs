//! Private networks, as the operator of the machine names them.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use super::reach::inner_v4;

/// All that is private: RFC 1918, RFC 6598, and `fc00::/7` (RFC 4193).
const PRIVATE: [(IpAddr, u8); 5] = [
    (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
    (IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(100, 64, 0, 0)), 10),
    (IpAddr::V6(Ipv6Addr::new(0xFC00, 0, 0, 0, 0, 0, 0, 0)), 7),
];

/// A private network: an address and how many of its first bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrivateNetwork {
    base: IpAddr,
    len: u8,
}

/// A text that names no private network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// No `ADDRESS/BITS`.
    #[error("no network")]
    Form,
    /// Bits behind those that count: it is not clear what is meant.
    #[error("it has bits behind its length")]
    Bits,
    /// Addresses in it are public, or are never asked.
    #[error("not all of it is private")]
    NotPrivate,
}

impl FromStr for PrivateNetwork {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (base, len) = text.split_once('/').ok_or(NetworkError::Form)?;
        let base: IpAddr = base.parse().map_err(|_| NetworkError::Form)?;
        let plain = !len.is_empty() && len.bytes().all(|b| b.is_ascii_digit());
        let len: u8 = len.parse().map_err(|_| NetworkError::Form)?;
        let width = if base.is_ipv4() { 32 } else { 128 };
        if !plain || len > width {
            return Err(NetworkError::Form);
        }
        let network = Self { base, len };
        if significant(base, len) != bits(base) {
            return Err(NetworkError::Bits);
        }
        let within = |(block, least): &(IpAddr, u8)| {
            block.is_ipv4() == base.is_ipv4()
                && len >= *least
                && significant(base, *least) == bits(*block)
        };
        match PRIVATE.iter().any(within) {
            true => Ok(network),
            false => Err(NetworkError::NotPrivate),
        }
    }
}

impl PrivateNetwork {
    /// Whether an address is in it, or carries an IPv4 address that is.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        let carried = match address {
            IpAddr::V6(v6) => inner_v4(v6).map(IpAddr::V4),
            IpAddr::V4(_) => None,
        };
        let address = carried.unwrap_or(address);
        address.is_ipv4() == self.base.is_ipv4()
            && significant(address, self.len) == bits(self.base)
    }
}

impl fmt::Display for PrivateNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.len)
    }
}

/// An address as a number whose first bit is the address' first.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn significant(address: IpAddr, len: u8) -> u128 {
    let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
    bits(address) & mask
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{NetworkError, PrivateNetwork};

    #[test]
    fn only_private_networks_are_taken() {
        for good in [
            "10.0.0.0/8",
            "10.1.2.3/32",
            "172.16.0.0/12",
            "192.168.7.0/24",
            "100.64.0.0/10",
            "fd00::/8",
            "fc00::/7",
            "fd12:3456::1/128",
        ] {
            assert_eq!(good.parse::<PrivateNetwork>().unwrap().to_string(), good);
        }
        for (bad, why) in [
            ("10.0.0.0", NetworkError::Form),
            ("10.0.0.0/33", NetworkError::Form),
            ("10.0.0.0/+8", NetworkError::Form),
            ("10.0.0.0/", NetworkError::Form),
            ("intranet/8", NetworkError::Form),
            ("10.0.0.1/8", NetworkError::Bits),
            ("0.0.0.0/0", NetworkError::NotPrivate),
            ("10.0.0.0/7", NetworkError::NotPrivate),
            ("127.0.0.0/8", NetworkError::NotPrivate),
            ("169.254.0.0/16", NetworkError::NotPrivate),
            ("192.0.2.0/24", NetworkError::NotPrivate),
            ("::/0", NetworkError::NotPrivate),
            ("fe80::/10", NetworkError::NotPrivate),
            ("::ffff:10.0.0.0/104", NetworkError::NotPrivate),
        ] {
            assert_eq!(bad.parse::<PrivateNetwork>(), Err(why), "{bad}");
        }
    }

    #[test]
    fn an_address_is_in_a_network_whatever_carries_it() {
        let has = |network: &str, address: &str| {
            let network: PrivateNetwork = network.parse().unwrap();
            network.has(address.parse().unwrap())
        };
        assert!(has("10.1.0.0/16", "10.1.255.255"));
        assert!(!has("10.1.0.0/16", "10.2.0.0"));
        assert!(has("10.1.0.0/16", "::ffff:10.1.0.1"));
        assert!(has("10.1.0.0/16", "64:ff9b::10.1.0.1"));
        assert!(!has("10.1.0.0/16", "64:ff9b::10.2.0.1"));
        assert!(has("fd00:1::/32", "fd00:1::9"));
        assert!(!has("fd00:1::/32", "fd00:2::9"));
        assert!(!has("fd00:1::/32", "10.0.0.1"));
    }
}
