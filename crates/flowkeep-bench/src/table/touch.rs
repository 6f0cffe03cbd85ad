//! The touch as somebody writes it who keeps connections in a general hash map: what ours does
//! for a packet of a TCP connection, by hand.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use flowkeep_core::entry::{Entry, EntryFlags, Progress};
use flowkeep_core::packet::tcp;
use flowkeep_core::settings::Settings;
use flowkeep_core::tracker::Instant;

use super::input::LENGTH;

/// A packet that touches an entry.
#[derive(Clone, Copy)]
pub(super) struct Touch<'s> {
    pub(super) settings: &'s Settings,
    pub(super) tcp_flags: u8,
    /// It comes in.
    pub(super) ingress: bool,
    /// It goes against the direction in which the connection was opened.
    pub(super) reply: bool,
    pub(super) now: Instant,
}

impl Touch<'_> {
    /// Timeout, flags and report stamps. False if the entry has expired, or is closing and the
    /// packet opens the connection anew: then it is of no use.
    #[inline(always)]
    fn progress(&self, progress: &mut Progress) -> bool {
        let (settings, now) = (self.settings, self.now.seconds);
        if progress.lifetime < now {
            return false;
        }
        let entry_flags = &mut progress.entry_flags;
        if entry_flags.intersects(EntryFlags::CLOSED) {
            if self.tcp_flags & tcp::SYN != 0 && self.tcp_flags & tcp::ACK == 0 {
                progress.lifetime = now - 1;
                return false;
            }
        } else {
            if self.tcp_flags & tcp::SYN == 0 {
                entry_flags.insert(EntryFlags::SEEN_NON_SYN);
            }
            progress.lifetime = now
                + if entry_flags.contains(EntryFlags::SEEN_NON_SYN) {
                    settings.tcp
                } else {
                    settings.syn
                };
        }
        if self.reply {
            entry_flags.insert(EntryFlags::REPLIED);
        }
        if self.tcp_flags & (tcp::FIN | tcp::RST) != 0 {
            entry_flags.insert(if self.tcp_flags & tcp::RST != 0 {
                EntryFlags::CLOSED
            } else if self.ingress {
                EntryFlags::RX_CLOSING
            } else {
                EntryFlags::TX_CLOSING
            });
            if entry_flags.contains(EntryFlags::CLOSED) {
                progress.lifetime = now + settings.close;
            }
        }
        let (seen, last) = if self.ingress {
            (&mut progress.rx_flags, &mut progress.last_rx_report)
        } else {
            (&mut progress.tx_flags, &mut progress.last_tx_report)
        };
        let flags = *seen | self.tcp_flags;
        if *last + settings.report_interval < now || flags != *seen {
            *seen = flags;
            *last = now;
        }
        true
    }

    /// Touches an entry that only we can reach. False if it is of no use.
    #[inline(always)]
    pub(super) fn entry(&self, entry: &mut Entry) -> bool {
        if !self.progress(&mut entry.progress) {
            return false;
        }
        let counters = if self.ingress {
            &mut entry.rx
        } else {
            &mut entry.tx
        };
        counters.packets += 1;
        counters.bytes += LENGTH;
        entry.last_seen = self.now.ticks;
        true
    }

    /// Touches an entry that others can reach too. False if it is of no use.
    #[inline(always)]
    pub(super) fn shared(&self, entry: &SharedEntry) -> bool {
        let (mut life, flags) = (entry.life.load(Relaxed), entry.flags.load(Relaxed));
        let reports = entry.reports.load(Relaxed);
        let progress = loop {
            let mut progress = Progress {
                lifetime: (life >> 32) as u32,
                entry_flags: EntryFlags(life as u16),
                tx_flags: flags as u8,
                rx_flags: (flags >> 8) as u8,
                last_tx_report: reports as u32,
                last_rx_report: (reports >> 32) as u32,
            };
            let useful = self.progress(&mut progress);
            let after = life_word(&progress);
            if after != life
                && let Err(other) = entry
                    .life
                    .compare_exchange_weak(life, after, Relaxed, Relaxed)
            {
                life = other;
                continue;
            }
            if !useful {
                return false;
            }
            break progress;
        };
        if flag_word(&progress) != flags {
            entry.flags.fetch_or(flag_word(&progress), Relaxed);
        }
        if report_word(&progress) != reports {
            entry.reports.store(report_word(&progress), Relaxed);
        }
        let [packets, bytes] = if self.ingress { &entry.rx } else { &entry.tx };
        packets.fetch_add(1, Relaxed);
        bytes.fetch_add(LENGTH, Relaxed);
        entry.last_seen.store(self.now.ticks, Relaxed);
        true
    }
}

/// An [`Entry`] that several threads may touch through a shared reference, as large as that.
pub(super) struct SharedEntry {
    life: AtomicU64,
    reports: AtomicU64,
    flags: AtomicU64,
    tx: [AtomicU64; 2],
    rx: [AtomicU64; 2],
    last_seen: AtomicU64,
    /// NAT, identity, creation: what look-ups leave alone.
    _rest: [AtomicU64; 3],
}

const _: () = assert!(size_of::<SharedEntry>() == size_of::<Entry>());

impl SharedEntry {
    pub(super) fn new(entry: &Entry) -> Self {
        let word = AtomicU64::new;
        let [nat, nat_low] = [0, 0].map(word);
        Self {
            life: word(life_word(&entry.progress)),
            reports: word(report_word(&entry.progress)),
            flags: word(flag_word(&entry.progress)),
            tx: [word(entry.tx.packets), word(entry.tx.bytes)],
            rx: [word(entry.rx.packets), word(entry.rx.bytes)],
            last_seen: word(entry.last_seen),
            _rest: [nat, nat_low, word(entry.created)],
        }
    }

    /// One-bit properties.
    pub(super) fn entry_flags(&self) -> EntryFlags {
        EntryFlags(self.life.load(Relaxed) as u16)
    }
}

const fn life_word(progress: &Progress) -> u64 {
    (progress.lifetime as u64) << 32 | progress.entry_flags.0 as u64
}

const fn report_word(progress: &Progress) -> u64 {
    progress.last_tx_report as u64 | (progress.last_rx_report as u64) << 32
}

const fn flag_word(progress: &Progress) -> u64 {
    progress.tx_flags as u64 | (progress.rx_flags as u64) << 8
}
