//! How often each address may do something, in a fixed amount of memory.

use std::net::IpAddr;

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::token_bucket::TokenBucket;
use crate::time::Timestamp;

/// Allowances in all. Addresses share them, and nobody can tell which: that bounds the memory without a way to have an
/// address forgotten.
const PLACES: usize = 4096;

/// Allowances of addresses that may be anybody's, such as sources of datagrams.
pub struct AddressRates {
    /// Empty until the first address acts: few STUN servers of a share are ever asked, and the table takes 148 KiB.
    places: Vec<TokenBucket>,
    rate: u64,
    burst: u64,
    key: Zeroizing<[u8; 32]>,
}

impl AddressRates {
    /// Each address may act `rate` times a second, and `burst` times at once. The random `key` chooses which addresses
    /// share an allowance.
    pub fn new(rate: u64, burst: u64, key: [u8; 32]) -> AddressRates {
        AddressRates { places: Vec::new(), rate, burst, key: Zeroizing::new(key) }
    }

    /// Whether this address, as [`owner`](crate::session::address::owner) has it, may act once more; takes one of its
    /// allowance.
    pub fn take(&mut self, now: Timestamp, owner: IpAddr) -> bool {
        self.take_many(now, owner, 1)
    }

    /// Takes `count` of the allowance, such as the bytes of a datagram, or nothing.
    pub fn take_many(&mut self, now: Timestamp, owner: IpAddr, count: usize) -> bool {
        if self.places.is_empty() {
            self.places = vec![TokenBucket::new(Timestamp::ZERO, self.rate, self.burst); PLACES];
        }
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.key).expect("a key of any length");
        mac.update(owner.to_string().as_bytes());
        let [high, low, ..] = <[u8; 32]>::from(mac.finalize().into_bytes());
        let place = usize::from(u16::from_be_bytes([high, low])) % PLACES;
        self.places.get_mut(place).is_some_and(|place| place.take(now, count))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn an_address_has_its_burst_and_then_its_rate_and_takes_none_of_most_others() {
        let at = |millis: u64| Timestamp::from_micros(millis * 1000);
        let mut rates = AddressRates::new(10, 50, [3; 32]);
        let one = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let taken = |rates: &mut AddressRates, now| (0..1000).filter(|_| rates.take(now, one)).count();
        assert_eq!(taken(&mut rates, at(0)), 50);
        assert_eq!(taken(&mut rates, at(1000)), 10);
        assert_eq!(taken(&mut rates, at(60_000)), 50);
        let others = (0..=255).map(|last| IpAddr::V4(Ipv4Addr::new(198, 51, 100, last)));
        assert!(others.filter(|other| rates.take(at(60_000), *other)).count() >= 254);
    }
}
