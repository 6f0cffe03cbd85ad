//! The programs' [`Config`], mapped into this process.

use std::mem::offset_of;
use std::sync::atomic::Ordering::Relaxed;

use aya::maps::MapData;
use flowkeep_core::rules::RuleSet;
use flowkeep_core::settings::Settings;
use flowkeep_core::table::Seed;
use flowkeep_memory::Words;

use crate::abi::{CONFIG_WORDS, Config, VERSION, rules};
use crate::clock::MILLISECOND;
use crate::maps::words;
use crate::{Clock, Error};

/// The config, mapped for as long as this lives. A change is made word by word; the programs see it
/// from their next packet on.
#[derive(Debug)]
pub(crate) struct MappedConfig(Words);

const VERSION_WORD: usize = offset_of!(Config, version) / 8;
const WATCHED_WORD: usize = offset_of!(Config, watched) / 8;
const RULES_WORD: usize = offset_of!(Config, rules) / 8;
const SUSPENDED_WORD: usize = offset_of!(Config, suspended) / 8;
const SETTINGS: usize = offset_of!(Config, settings);
const SETTINGS_WORDS: std::ops::Range<usize> = SETTINGS / 8..offset_of!(Config, buckets) / 8;

impl MappedConfig {
    /// Maps the map's only element.
    pub(crate) fn new(data: &MapData) -> Result<Self, Error> {
        Ok(Self(words(data, CONFIG_WORDS)?))
    }

    /// Writes everything.
    pub(crate) fn describe(&self, settings: &Settings, buckets: u32, seed: &Seed, rules: RuleSet) {
        let mut bytes = [0; CONFIG_WORDS * 8];
        bytes[offset_of!(Config, buckets)..][..4].copy_from_slice(&buckets.to_ne_bytes());
        for (index, word) in seed.words().iter().enumerate() {
            let at = offset_of!(Config, seed) + 8 * index;
            bytes[at..][..8].copy_from_slice(&word.to_ne_bytes());
        }
        let (values, _) = bytes.as_chunks();
        for (word, value) in self.0.iter().zip(values) {
            word.store(u64::from_ne_bytes(*value), Relaxed);
        }
        self.0[VERSION_WORD].store(VERSION, Relaxed);
        self.0[RULES_WORD].store(rules::number(rules), Relaxed);
        self.set(settings);
        self.set_clock();
    }

    /// Changes the settings.
    pub(crate) fn set(&self, settings: &Settings) {
        let mut bytes = [0; size_of::<Config>()];
        write(settings, &mut bytes[SETTINGS..][..size_of::<Settings>()]);
        let (values, _) = bytes.as_chunks();
        for (word, value) in self.0[SETTINGS_WORDS].iter().zip(&values[SETTINGS_WORDS]) {
            word.store(u64::from_ne_bytes(*value), Relaxed);
        }
    }

    /// The settings.
    pub(crate) fn settings(&self) -> Settings {
        let mut bytes = [0; CONFIG_WORDS * 8];
        let (values, _) = bytes.as_chunks_mut();
        for (value, word) in values.iter_mut().zip(self.0.iter()) {
            *value = word.load(Relaxed).to_ne_bytes();
        }
        read(&bytes[SETTINGS..][..size_of::<Settings>()])
    }

    /// Whose rules the programs track by; `None` if this version does not know them.
    pub(crate) fn rules(&self) -> Option<RuleSet> {
        rules::from_number(self.0[RULES_WORD].load(Relaxed))
    }

    /// Tells the programs how long the machine was suspended so far.
    pub(crate) fn set_clock(&self) {
        let suspended = Clock::now().suspended();
        let word = &self.0[SUSPENDED_WORD];
        // Its two clocks are not read in the same instant.
        if word.load(Relaxed).abs_diff(suspended) > MILLISECOND {
            word.store(suspended, Relaxed);
        }
    }

    /// Until when the programs send events, in ticks of their clock: see [`Config::watched`].
    pub(crate) fn watched(&self) -> u64 {
        self.0[WATCHED_WORD].load(Relaxed)
    }

    /// Has the programs send events until then.
    pub(crate) fn set_watched(&self, until: u64) {
        self.0[WATCHED_WORD].store(until, Relaxed);
    }
}

/// Writes settings in their layout in memory. Padding stays as it is.
fn write(settings: &Settings, bytes: &mut [u8]) {
    let Settings {
        tcp,
        non_tcp,
        service_tcp,
        service_non_tcp,
        syn,
        close,
        close_rebalance,
        report_interval,
        report_flags,
        report_headers,
        report_all,
        accounting,
        sctp,
        other_protocols,
    } = *settings;
    for (at, number) in [
        (offset_of!(Settings, tcp), tcp),
        (offset_of!(Settings, non_tcp), non_tcp),
        (offset_of!(Settings, service_tcp), service_tcp),
        (offset_of!(Settings, service_non_tcp), service_non_tcp),
        (offset_of!(Settings, syn), syn),
        (offset_of!(Settings, close), close),
        (offset_of!(Settings, close_rebalance), close_rebalance),
        (offset_of!(Settings, report_interval), report_interval),
        (offset_of!(Settings, report_headers), report_headers),
        (offset_of!(Settings, report_all), report_all),
    ] {
        bytes[at..][..4].copy_from_slice(&number.to_ne_bytes());
    }
    for (at, byte) in [
        (offset_of!(Settings, report_flags), report_flags),
        (offset_of!(Settings, accounting), u8::from(accounting)),
        (offset_of!(Settings, sctp), u8::from(sctp)),
        (
            offset_of!(Settings, other_protocols),
            u8::from(other_protocols),
        ),
    ] {
        bytes[at] = byte;
    }
}

/// The inverse of [`write()`].
fn read(bytes: &[u8]) -> Settings {
    let number = |at: usize| {
        let [a, b, c, d] = [0, 1, 2, 3].map(|index| bytes[at + index]);
        u32::from_ne_bytes([a, b, c, d])
    };
    let flag = |at: usize| bytes[at] != 0;
    Settings {
        tcp: number(offset_of!(Settings, tcp)),
        non_tcp: number(offset_of!(Settings, non_tcp)),
        service_tcp: number(offset_of!(Settings, service_tcp)),
        service_non_tcp: number(offset_of!(Settings, service_non_tcp)),
        syn: number(offset_of!(Settings, syn)),
        close: number(offset_of!(Settings, close)),
        close_rebalance: number(offset_of!(Settings, close_rebalance)),
        report_interval: number(offset_of!(Settings, report_interval)),
        report_flags: bytes[offset_of!(Settings, report_flags)],
        report_headers: number(offset_of!(Settings, report_headers)),
        report_all: number(offset_of!(Settings, report_all)),
        accounting: flag(offset_of!(Settings, accounting)),
        sctp: flag(offset_of!(Settings, sctp)),
        other_protocols: flag(offset_of!(Settings, other_protocols)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Settings, read, write};

    #[test]
    fn settings_come_back_as_they_were_written() {
        let settings = Settings {
            tcp: 1,
            non_tcp: 2,
            service_tcp: 3,
            service_non_tcp: 4,
            syn: 5,
            close: 6,
            close_rebalance: 7,
            report_interval: 8,
            report_flags: 9,
            report_headers: 10,
            report_all: 11,
            accounting: true,
            sctp: false,
            other_protocols: true,
        };
        let mut bytes = [0xff; size_of::<Settings>()];
        write(&settings, &mut bytes);
        assert_eq!(read(&bytes), settings);
    }
}
