//! Whether tuples with structure gather in some buckets, when the table's seed is unknown.

use flowkeep_core::packet::protocol;
use flowkeep_core::table::{BucketPair, Seed};
use flowkeep_core::tuple::{Address, Flags, Tuple};
use serde::Serialize;

use super::input::Random;
use crate::statistics::Spread;

const SETS: u32 = 1366;
const TUPLES: u32 = 60_000;

/// The outcome for one choice of tuples.
#[derive(Debug, Serialize)]
pub(super) struct Gathering {
    pub(super) tuples: &'static str,
    pub(super) seeds: u32,
    /// Tuples whose first set is the fullest one.
    pub(super) fullest: Spread,
    /// Tuples whose first set is the emptiest one.
    pub(super) emptiest: Spread,
    /// The variance of the buckets' tuples by that of the binomial distribution: 1 is chance.
    pub(super) variance: Spread,
}

/// Counts, for several seeds, the tuples of each set.
pub(super) fn run(seeds: u32, random: &mut Random) -> Vec<Gathering> {
    let seeds: Vec<Seed> = (0..seeds)
        .map(|_| Seed::from_words(core::array::from_fn(|_| random.number())))
        .collect();
    let mut gatherings = Vec::new();
    let mut chance = Random::new(random.number());
    gatherings.push(gathering("random", &seeds, |_| chance.tuple()));
    for (name, pattern) in PATTERNS {
        gatherings.push(gathering(name, &seeds, pattern));
    }
    gatherings
}

/// A name, and the n-th tuple.
type Pattern = (&'static str, fn(u32) -> Tuple);

/// What somebody may choose who controls one end, or several.
const PATTERNS: [Pattern; 4] = [
    ("one source, sequential ports", |n| {
        // Its ports are used up before the tuples are: then it asks the server's next port.
        let [low, high] = [n % 60_000, n / 60_000];
        v4([10, 0, 0, 1], 1024 + low as u16, 443 + high as u16)
    }),
    ("one /16, one port", |n| {
        v4([10, 1, (n >> 8) as u8, n as u8], 40_000, 443)
    }),
    ("sequential IPv6 hosts", |n| v6(0, u64::from(n))),
    ("sequential IPv6 networks", |n| v6(u64::from(n), 1)),
];

const fn v4(source: [u8; 4], source_port: u16, port: u16) -> Tuple {
    let (source, server) = (Address::from_v4(source), Address::from_v4([192, 0, 2, 1]));
    // Ports are crossed in a tuple.
    Tuple::new(server, source, source_port, port, protocol::TCP, Flags::OUT)
}

fn v6(network: u64, host: u64) -> Tuple {
    let address = |network: u64, host: u64| {
        let prefix = 0x2001_0db8 << 96;
        let address = prefix | u128::from(network) << 64 | u128::from(host);
        Address::from_octets(address.to_be_bytes())
    };
    let (source, server) = (address(network, host), address(0xffff_0000, 1));
    Tuple::new(server, source, 40_000, 443, protocol::TCP, Flags::IPV6)
}

fn gathering(
    tuples: &'static str,
    seeds: &[Seed],
    mut pattern: impl FnMut(u32) -> Tuple,
) -> Gathering {
    let (mut fullest, mut emptiest, mut variance) = (vec![], vec![], vec![]);
    for seed in seeds {
        let mut buckets = vec![0_u32; SETS as usize];
        for number in 0..TUPLES {
            let [first, _] = BucketPair::new(seed.hash(&pattern(number)), SETS).buckets();
            buckets[first as usize] += 1;
        }
        let of = |count: Option<&u32>| f64::from(count.copied().unwrap_or(0));
        fullest.push(of(buckets.iter().max()));
        emptiest.push(of(buckets.iter().min()));
        let share = 1.0 / f64::from(SETS);
        let mean = f64::from(TUPLES) * share;
        let squares: f64 = buckets
            .iter()
            .map(|&count| (f64::from(count) - mean).powi(2))
            .sum();
        variance.push(squares * share / (mean * (1.0 - share)));
    }
    Gathering {
        tuples,
        seeds: seeds.len() as u32,
        fullest: Spread::of(fullest),
        emptiest: Spread::of(emptiest),
        variance: Spread::of(variance),
    }
}
