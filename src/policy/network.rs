//! Client networks in the notation of RFC 4632 and RFC 4291: `192.0.2.0/24`, `2001:db8::/32`.

use core::net::IpAddr;
use core::str::FromStr;

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    /// Bits that count.
    length: u8,
}

impl FromStr for Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let address: IpAddr = address.parse().map_err(|_| "expected an address, or address/bits")?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => most,
            Some(bits) if bits.bytes().all(|octet| octet.is_ascii_digit()) => {
                bits.parse().ok().filter(|bits| *bits <= most).ok_or("an address has no so many bits")?
            }
            Some(_) => return Err("behind the slash stands a number of bits"),
        };
        let network = Self { address, length };
        if network.masked(address) == bits(address) {
            Ok(network)
        } else {
            Err("the address has bits behind the network's")
        }
    }
}

impl Network {
    /// The network that `address` is in, of so many bits; all of them if there are not so many.
    pub(crate) fn around(address: IpAddr, ipv4: u8, ipv6: u8) -> (IpAddr, u8) {
        let address = address.to_canonical();
        let length = if address.is_ipv4() { ipv4.min(32) } else { ipv6.min(128) };
        let masked = Self { address, length }.masked(address);
        let first = match address {
            IpAddr::V4(_) => IpAddr::V4(u32::try_from(masked >> 96).unwrap_or_default().into()),
            IpAddr::V6(_) => IpAddr::V6(masked.into()),
        };
        (first, length)
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && self.masked(address) == bits(self.address)
    }

    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.length <= other.length && self.contains(other.address)
    }

    fn masked(&self, address: IpAddr) -> u128 {
        let mask = if self.length == 0 { 0 } else { u128::MAX << (128 - u32::from(self.length)) };
        bits(address) & mask
    }
}

impl core::fmt::Display for Network {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// The address's bits, from the highest of 128.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
        IpAddr::V6(address) => address.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_the_addresses_that_begin_as_it_does() {
        for (network, address, inside) in [
            ("192.0.2.0/24", "192.0.2.77", true),
            ("192.0.2.0/24", "192.0.3.1", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("192.0.2.0/24", "::ffff:192.0.2.9", true),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/33", "2001:db8:8000::1", false),
            ("::/0", "::1", true),
        ] {
            let parsed: Network = network.parse().unwrap();
            assert_eq!(parsed.contains(address.parse().unwrap()), inside, "{network} {address}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in
            ["", "office", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/+8", "192.0.2.1/24", "2001:db8::/129", "/8"]
        {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_network_around_an_address_has_so_many_bits() {
        let around = |address: &str| {
            let (first, length) = Network::around(address.parse().unwrap(), 24, 64);
            format!("{first}/{length}")
        };
        assert_eq!(around("192.0.2.77"), "192.0.2.0/24");
        assert_eq!(around("::ffff:192.0.2.77"), "192.0.2.0/24");
        assert_eq!(around("2001:db8:1:2:3::4"), "2001:db8:1:2::/64");
    }
}
