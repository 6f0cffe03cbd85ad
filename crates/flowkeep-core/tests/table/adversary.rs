//! Who does not know the seed cannot aim: tuples with structure spread over the sets as evenly
//! as chance does.

use flowkeep_core::table::Seed;
use flowkeep_core::tuple::{Address, Flags, Tuple};

use crate::common::peek::sets_of;
use crate::common::tuple;

const SETS: u32 = 1366;
const TUPLES: u32 = 60_000;
/// Standard deviations. Of the 1,000-odd numbers that are judged one in a billion is beyond.
const CHANCE: f64 = 6.5;

/// The n-th tuple of somebody's choice.
type Pattern = fn(u32) -> Tuple;

/// Ways to choose tuples that an adversary has who controls one end.
fn patterns() -> [(&'static str, Pattern); 7] {
    [
        ("sequential ports of one source", |n| {
            tuple(0).with_ports(n as u16, 443)
        }),
        ("both ports, in step", |n| {
            tuple(0).with_ports(n as u16, (n as u16).wrapping_mul(2))
        }),
        ("one /16, one port", |n| {
            from([10, 0, (n >> 8) as u8, n as u8])
        }),
        ("every 256th address", |n| {
            from([(n >> 16) as u8, (n >> 8) as u8, n as u8, 1])
        }),
        ("address and port in opposite steps", |n| {
            from([10, 0, (n >> 8) as u8, n as u8]).with_ports(!n as u16, 443)
        }),
        ("sequential IPv6 hosts", |n| {
            ipv6_tuple(0x2001_0db8_0000_0000, u64::from(n))
        }),
        ("sequential IPv6 networks", |n| {
            ipv6_tuple(0x2001_0db8_0000_0000 + u64::from(n), 1)
        }),
    ]
}

fn from(address: [u8; 4]) -> Tuple {
    tuple(0).with_addresses(Address::from_v4(address), tuple(0).source())
}

fn ipv6_tuple(high: u64, low: u64) -> Tuple {
    let address = |high: u64, low: u64| {
        Address::from_octets((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
    };
    tuple(0)
        .with_addresses(address(high, low), address(0x2001_0db8_ffff_0000, 1))
        .with_flags(Flags::IPV6)
}

/// How far counts are from those of chance, in standard deviations of the chi-square
/// distribution.
fn unevenness(counts: &[u32]) -> f64 {
    let cells = counts.len() as f64;
    let mean = f64::from(counts.iter().sum::<u32>()) / cells;
    let chi_square: f64 = counts
        .iter()
        .map(|&count| (f64::from(count) - mean).powi(2) / mean)
        .sum();
    (chi_square - (cells - 1.0)) / (2.0 * (cells - 1.0)).sqrt()
}

/// How far the fullest cell is from the mean, in standard deviations of the binomial distribution.
fn peak(counts: &[u32]) -> f64 {
    let total = f64::from(counts.iter().sum::<u32>());
    let share = 1.0 / counts.len() as f64;
    let fullest = counts.iter().max().copied().unwrap_or_default();
    (f64::from(fullest) - total * share) / (total * share * (1.0 - share)).sqrt()
}

#[test]
#[cfg_attr(miri, ignore = "too many tuples for an interpreter")]
fn structured_tuples_spread_over_the_sets_as_by_chance() {
    let seeds = if cfg!(debug_assertions) { 4 } else { 40 };
    for (name, pattern) in patterns() {
        for seed in 0..seeds {
            let seed = Seed::from_u64(seed);
            let mut first = vec![0; SETS as usize];
            let mut second = vec![0; SETS as usize];
            let mut pairs = vec![0; 32 * 32];
            let mut tags = vec![0; 255];
            let mut tags_within = vec![0; 16 * 16];
            for number in 0..TUPLES {
                let tuple = pattern(number);
                let (bucket, other, tag) = sets_of(&seed, SETS, &tuple);
                first[bucket as usize] += 1;
                second[other as usize] += 1;
                // Two tuples that share one set must not share the other more often than others.
                let (coarse, coarse_other, _) = sets_of(&seed, 32, &tuple);
                pairs[(coarse * 32 + coarse_other) as usize] += 1;
                tags_within[(coarse / 2 * 16 + u32::from(tag) / 16) as usize] += 1;
                tags[usize::from(tag) - 1] += 1;
            }
            // Tag 1 stands for 0, too.
            tags[0] /= 2;
            for (what, counts) in [
                ("first buckets", &first),
                ("second buckets", &second),
                ("pairs of buckets", &pairs),
                ("tags", &tags),
                ("tags within buckets", &tags_within),
            ] {
                let uneven = unevenness(counts);
                assert!(uneven < CHANCE, "{name}, {what}: {uneven:.1} deviations");
            }
            for (what, counts) in [("first buckets", &first), ("second buckets", &second)] {
                let peak = peak(counts);
                assert!(peak < CHANCE + 1.0, "{name}, {what}: fullest {peak:.1}");
            }
        }
    }
}
