//! The Internet checksum (RFC 1071).

use super::ip::Addresses;

/// Sums 16-bit words; `bytes` of odd length are padded with a zero.
pub(super) fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    // Pairs of words at once: 2^16 is 1 modulo 2^16 - 1, so the carry can be folded at the end.
    let words: u64 = words
        .iter()
        .map(|word| u64::from(u32::from_be_bytes(*word)))
        .sum();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    words + u64::from(u32::from_be_bytes(last))
}

/// The checksum of a sum.
pub(super) const fn finish(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// The checksum of a transport's bytes, whose own field is zero, with the pseudo-header.
pub(super) fn transport(addresses: &Addresses, protocol: u8, bytes: &[u8]) -> u16 {
    let addresses = match addresses {
        Addresses::V4 {
            source,
            destination,
        } => sum(&source.octets()) + sum(&destination.octets()),
        Addresses::V6 {
            source,
            destination,
        } => sum(&source.octets()) + sum(&destination.octets()),
    };
    finish(addresses + u64::from(protocol) + bytes.len() as u64 + sum(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn example_of_rfc_1071() {
        // Section 3: the sum is ddf2.
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(finish(sum(&bytes)), !0xddf2);
    }

    #[test]
    fn odd_lengths_are_padded() {
        for len in 0..8 {
            let bytes = [0xab; 8];
            let mut padded = [0; 8];
            padded[..len].copy_from_slice(&bytes[..len]);
            assert_eq!(finish(sum(&bytes[..len])), finish(sum(&padded)));
        }
    }
}
