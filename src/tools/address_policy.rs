//! Which addresses a tool's host may lead to. Checked where names are resolved for a connection, so that
//! a name cannot lead somewhere else after the check.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where a tool's host may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressPolicy {
    /// To the internet only.
    Public,
    /// Everywhere.
    Anywhere,
    /// Within this machine and private networks only: for what is sent unencrypted.
    Private,
}

impl AddressPolicy {
    /// Whether it includes `address`.
    pub fn allows(self, address: IpAddr) -> bool {
        match self {
            Self::Public => is_public(address),
            Self::Anywhere => true,
            Self::Private => !is_public(address),
        }
    }
}

/// No address of a host may be connected to.
#[derive(Debug)]
pub struct ForbiddenAddress;

impl fmt::Display for ForbiddenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the host leads to no address that is allowed")
    }
}

impl std::error::Error for ForbiddenAddress {}

/// Resolves names by the system, and gives only addresses that are allowed.
pub struct FilteringResolver(pub AddressPolicy);

impl Resolve for FilteringResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let address_policy = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> =
                found.filter(|at| address_policy.allows(at.ip())).collect();
            if allowed.is_empty() {
                return Err(ForbiddenAddress.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one of the internet: not of this machine, of a private network, of a link, of a
/// carrier's network, of documentation, a group's, or one that carries such an address in itself.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let carrier = a == 100 && (64..128).contains(&b);
    let benchmarks = a == 198 && (b == 18 || b == 19);
    let protocols = a == 192 && b == 0 && c == 0;
    let relay = a == 192 && b == 88 && c == 99;
    !(a == 0
        || address.is_private()
        || address.is_loopback()
        // With it 169.254.169.254, where clouds keep an instance's credentials.
        || address.is_link_local()
        || address.is_documentation()
        || carrier
        || benchmarks
        || protocols
        || relay
        // Groups, reserved, broadcast.
        || a >= 224)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let last = || {
        let [.., a, b, c, d] = address.octets();
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        // Mapped (::ffff:a.b.c.d) and compatible (::a.b.c.d, with :: and ::1) addresses, NAT64.
        [0, 0, 0, 0, 0, 0xffff, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => is_public_v4(last()),
        [0, 0, 0, 0, 0, 0, _, _] => false,
        // NAT64 of one's own network.
        [0x64, 0xff9b, 1, ..] => false,
        // 6to4 and Teredo: an IPv4 address within.
        [0x2002, a, b, ..] => {
            let [[a, b], [c, d]] = [a.to_be_bytes(), b.to_be_bytes()];
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        [0x2001, 0, ..] => false,
        // Documentation.
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => false,
        // What is not global unicast: unique local, link-local, site-local, groups, the rest.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_internet_are_public() {
        for public in [
            "8.8.8.8",
            "100.63.0.1",
            "172.32.0.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for private in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "192.168.1.1",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::a00:1",
            "2002:7f00:1::",
            "2001:0:1::",
            "2001:db8::1",
            "fd00::1",
            "fc00::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "fd00:ec2::254",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_home_is_not_resolved() {
        let resolved = |address_policy| async move {
            let name: Name = "localhost".parse().unwrap();
            FilteringResolver(address_policy)
                .resolve(name)
                .await
                .is_ok()
        };
        assert!(!resolved(AddressPolicy::Public).await);
        assert!(resolved(AddressPolicy::Private).await && resolved(AddressPolicy::Anywhere).await);
    }
}
