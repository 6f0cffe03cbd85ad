//! The programs' [`Config`] as the words of its map.

use std::mem::offset_of;

use flowkeep_core::settings::Settings;
use flowkeep_core::table::Seed;

use crate::abi::{CONFIG_WORDS, Config, VERSION};

/// The bytes of a config, field by field: what lies between them is 0.
pub(crate) fn words(settings: &Settings, sets: u32, seed: &Seed) -> [u64; CONFIG_WORDS] {
    let mut bytes = [0; CONFIG_WORDS * 8];
    let mut put = |at: usize, field: &[u8]| {
        bytes[at..at + field.len()].copy_from_slice(field);
    };
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
    let base = offset_of!(Config, settings);
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
        put(base + at, &number.to_ne_bytes());
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
        put(base + at, &[byte]);
    }
    put(offset_of!(Config, sets), &sets.to_ne_bytes());
    for (index, word) in seed.words().iter().enumerate() {
        put(offset_of!(Config, seed) + 8 * index, &word.to_ne_bytes());
    }
    put(
        offset_of!(Config, version),
        &u64::from(VERSION).to_ne_bytes(),
    );
    let (words, _) = bytes.as_chunks();
    let mut config = [0; CONFIG_WORDS];
    for (word, bytes) in config.iter_mut().zip(words) {
        *word = u64::from_ne_bytes(*bytes);
    }
    config
}
