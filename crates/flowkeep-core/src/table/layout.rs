//! How the table lies in memory: a header, then the heads of all sets, then all records.
//!
//! Heads are dense so that they stay in the cache: one line tells which of 48 slots may hold a
//! tuple. A record is two cache lines, and a packet of a known connection needs the first one,
//! and the second only for counting.

use core::fmt;

use super::hash::Seed;
use super::word::Word;

/// Slots of a set. With two candidate sets of 48, random tuples fill at least 94 % of a table
/// before the first refusal; with 32 it is 91 to 93 %, with 16 some 82 % (simulated, 100 seeds).
pub const SLOTS: usize = 48;
/// Tags of a set, eight in a word.
pub(super) const TAG_WORDS: usize = SLOTS / 8;

/// Changes whenever the meaning of any byte of the table changes.
pub const LAYOUT_VERSION: u64 = 3;
/// `flowkeep` and a newline that a text-mode transfer would damage, in the machine's byte order.
const MAGIC: u64 = u64::from_ne_bytes(*b"flowkp\r\n");
/// Bytes that the header takes: a page, so that what follows it is aligned.
pub const HEADER_BYTES: usize = 4096;

/// The head of a set: one cache line.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct BucketHeader<W> {
    /// A byte a slot: 0 for a free one, else some bits of the hash of what it holds.
    pub(super) tags: [W; TAG_WORDS],
    /// Bit 0 is set while somebody inserts a tuple whose first bucket this is. Bits 1 to 31: the
    /// second in which the bucket was last searched for expired entries. Bits 32 to 63: the
    /// second in which the lock was taken.
    pub(super) lock: W,
    /// How many entries have this as their first set and live in their second. While it is 0 a
    /// probe needs to look at no other set.
    pub(super) displaced: W,
}

impl<W> BucketHeader<W> {
    /// The tags, a byte a slot, eight in a word from its lowest byte on.
    #[must_use]
    #[inline(always)]
    pub const fn tags(&self) -> &[W; SLOTS / 8] {
        &self.tags
    }
}

/// An entry in its slot: two cache lines. Numbers are in the machine's byte order, addresses in
/// network byte order.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub struct Record<W> {
    /// Generation in bits 0 to 15, flags in 16 to 31, lifetime in 32 to 63. Whether a slot is
    /// free, being written, expired, closed or assured is told by this word alone, and every
    /// change of owner goes through it by compare-and-swap.
    pub(super) state: W,
    /// The tuple that the entry is stored under: see [`Tuple`](crate::tuple::Tuple).
    pub(super) tuple: [W; 5],
    /// Seconds of the last reports: egress in bits 0 to 31, ingress in 32 to 63.
    pub(super) reports: W,
    /// Reverse-NAT index in bits 0 to 15, NAT port in 16 to 31, source identity in 32 to 63.
    pub(super) service: W,
    /// Egress and service.
    pub(super) tx: Side<W>,
    /// Ingress.
    pub(super) rx: Side<W>,
    /// NAT address, or the backend in its first word.
    pub(super) nat: [W; 2],
    /// Creation, in ticks.
    pub(super) created: W,
    /// Last packet, in ticks.
    pub(super) last_seen: W,
}

/// What one direction's packets add to. Both words name their owner by the low bits of its
/// generation, so that a packet that comes too late, when another entry has the slot, notices it
/// and takes back what it added.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Side<W> {
    /// Packets in bits 0 to 47, enough for 300 days of ten million a second; TCP flags seen in 48
    /// to 55; the owner's generation in 56 to 63.
    pub(super) packets: W,
    /// Bytes in bits 0 to 55; the owner's generation in 56 to 63.
    pub(super) bytes: W,
}

/// A record apart from any table, from its words as they lay in one.
impl<W: From<u64>> From<[u64; 16]> for Record<W> {
    fn from(words: [u64; 16]) -> Self {
        let [
            state,
            tuple @ ..,
            reports,
            service,
            tx_packets,
            tx_bytes,
            rx_packets,
            rx_bytes,
            nat0,
            nat1,
            created,
            last_seen,
        ] = words;
        Self {
            state: state.into(),
            tuple: tuple.map(W::from),
            reports: reports.into(),
            service: service.into(),
            tx: Side {
                packets: tx_packets.into(),
                bytes: tx_bytes.into(),
            },
            rx: Side {
                packets: rx_packets.into(),
                bytes: rx_bytes.into(),
            },
            nat: [nat0, nat1].map(W::from),
            created: created.into(),
            last_seen: last_seen.into(),
        }
    }
}

/// The header: tells whether the memory behind it is a table that this code understands.
#[derive(Debug, Default)]
#[repr(C, align(4096))]
pub struct Header<W> {
    magic: W,
    version: W,
    buckets: W,
    slots: W,
    record_bytes: W,
    /// Ticks of [`Instant::ticks`](crate::tracker::Instant::ticks) a second.
    ticks_per_second: W,
    seed: [W; Seed::WORDS],
    /// Counters, by [`Statistic`].
    statistics: [W; Statistic::COUNT],
}

const _: () = {
    assert!(size_of::<BucketHeader<u64>>() == 64);
    assert!(size_of::<Record<u64>>() == 128);
    assert!(size_of::<Header<u64>>() == HEADER_BYTES);
};

/// What a table counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(usize)]
pub enum Statistic {
    /// Entries stored in a free slot.
    Inserted,
    /// Entries stored in place of one under the same tuple.
    Overwritten,
    /// Entries stored in place of an expired one.
    EvictedExpired,
    /// Entries stored in place of a closed one.
    EvictedClosed,
    /// Entries stored in place of an unanswered one.
    EvictedUnassured,
    /// Entries removed.
    Removed,
    /// Insertions refused because only answered connections were in the tuple's sets.
    Refused,
    /// Insertions given up because others were always faster.
    Contended,
}

impl Statistic {
    pub(super) const COUNT: usize = 8;

    /// Every statistic.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Inserted,
        Self::Overwritten,
        Self::EvictedExpired,
        Self::EvictedClosed,
        Self::EvictedUnassured,
        Self::Removed,
        Self::Refused,
        Self::Contended,
    ];

    /// A few words, lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inserted => "inserted",
            Self::Overwritten => "overwritten",
            Self::EvictedExpired => "evicted expired",
            Self::EvictedClosed => "evicted closed",
            Self::EvictedUnassured => "evicted unassured",
            Self::Removed => "removed",
            Self::Refused => "refused",
            Self::Contended => "contended",
        }
    }
}

/// Why memory is not a table that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutError {
    /// It does not begin as a table does.
    NotATable,
    /// It is a table of another layout version, which is given.
    Version(u64),
    /// Its header contradicts itself.
    Corrupt,
    /// It ends before the table that its header describes.
    Truncated,
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotATable => f.write_str("not a Flowkeep table"),
            Self::Version(found) => write!(
                f,
                "a table of layout version {found}; this program reads version {LAYOUT_VERSION}"
            ),
            Self::Corrupt => f.write_str("the table's header is corrupt"),
            Self::Truncated => f.write_str("the table is cut short"),
        }
    }
}

impl core::error::Error for LayoutError {}

impl<W: Word> Header<W> {
    /// Describes an empty table: call it on zeroed memory, before anybody else sees it.
    pub fn describe(&self, buckets: u32, ticks_per_second: u64, seed: &Seed) {
        self.buckets.store(u64::from(buckets));
        self.slots.store(SLOTS as u64);
        self.record_bytes.store(size_of::<Record<W>>() as u64);
        self.ticks_per_second.store(ticks_per_second);
        for (word, &key) in self.seed.iter().zip(seed.words()) {
            word.store(key);
        }
        self.version.store(LAYOUT_VERSION);
        self.magic.store_release(MAGIC);
    }

    /// The number of sets and the seed of the table that this header describes.
    ///
    /// # Errors
    /// What keeps the memory from being a table that this code understands.
    pub fn read(&self) -> Result<(u32, Seed), LayoutError> {
        if self.magic.load_acquire() != MAGIC {
            return Err(LayoutError::NotATable);
        }
        match self.version.load() {
            LAYOUT_VERSION => {}
            other => return Err(LayoutError::Version(other)),
        }
        let buckets = u32::try_from(self.buckets.load()).map_err(|_| LayoutError::Corrupt)?;
        let fits = buckets != 0
            && buckets <= u32::MAX / SLOTS as u32
            && self.slots.load() == SLOTS as u64
            && self.record_bytes.load() == size_of::<Record<W>>() as u64
            && self.ticks_per_second.load() != 0;
        if !fits {
            return Err(LayoutError::Corrupt);
        }
        let mut words = [0; Seed::WORDS];
        for (word, key) in words.iter_mut().zip(&self.seed) {
            *word = key.load();
        }
        Ok((buckets, Seed::from_words(words)))
    }

    /// Ticks a second of the clock that the table's times are of.
    #[must_use]
    pub fn ticks_per_second(&self) -> u64 {
        self.ticks_per_second.load()
    }

    /// Counts something.
    #[inline]
    pub fn count(&self, statistic: Statistic) {
        if let Some(counter) = self.statistics.get(statistic as usize) {
            counter.add(1);
        }
    }

    /// A counter's value.
    #[must_use]
    pub fn statistic(&self, statistic: Statistic) -> u64 {
        self.statistics
            .get(statistic as usize)
            .map_or(0, Word::load)
    }
}

/// Bytes of a whole table of `sets` sets: header, heads, records.
#[must_use]
pub const fn table_bytes(buckets: u32) -> u64 {
    let bucket_headers = buckets as u64 * size_of::<BucketHeader<u64>>() as u64;
    let records = buckets as u64 * SLOTS as u64 * size_of::<Record<u64>>() as u64;
    // Records are aligned to their size, heads to half of it.
    HEADER_BYTES as u64 + bucket_headers.next_multiple_of(size_of::<Record<u64>>() as u64) + records
}
