//! The refresh of an entry's timeout, and what it reports.

use core::hint::select_unpredictable;

use crate::entry::{EntryFlags, Progress};
use crate::packet::tcp;
use crate::settings::Settings;
use crate::tracker::Direction;

/// Chooses the lifetime of an entry and notes what was seen. `tcp_flags` is `None` for protocols
/// other than TCP. Returns how many bytes of the packet are worth reporting.
#[inline]
pub(crate) fn refresh(
    progress: &mut Progress,
    settings: &Settings,
    tcp_flags: Option<u8>,
    direction: Direction,
    now: u32,
) -> u32 {
    let service = direction.is_service();
    let timeout = match tcp_flags {
        None if service => settings.service_non_tcp,
        None => settings.non_tcp,
        Some(flags) => {
            if flags & tcp::SYN == 0 {
                progress.entry_flags.insert(EntryFlags::SEEN_NON_SYN);
            }
            if !progress.entry_flags.contains(EntryFlags::SEEN_NON_SYN) {
                settings.syn
            } else if service {
                settings.service_tcp
            } else {
                settings.tcp
            }
        }
    };
    expire_in(progress, settings, timeout, tcp_flags, direction, now)
}

/// Sets the lifetime to `timeout` from now and notes what was seen. Returns how many bytes of the
/// packet are worth reporting: the first of a new TCP flag or of a report interval, else 0.
#[inline]
pub(crate) fn expire_in(
    progress: &mut Progress,
    settings: &Settings,
    timeout: u32,
    tcp_flags: Option<u8>,
    direction: Direction,
    now: u32,
) -> u32 {
    progress.lifetime = now.wrapping_add(timeout);
    let ingress = direction.is_ingress();
    let (seen, last) = if ingress {
        (progress.rx_flags, progress.last_rx_report)
    } else {
        (progress.tx_flags, progress.last_tx_report)
    };
    let flags = seen | tcp_flags.unwrap_or(0) & settings.report_flags;
    // In 32 bits, as the specification has it: not `now - last > interval`.
    let overdue = last.wrapping_add(settings.report_interval) < now;
    let report = overdue | (flags != seen);
    // As data, not as a branch: it depends on an entry that is still on its way from memory, and
    // is hard to predict. And not through a reference to one of two fields, which the kernel's
    // verifier does not follow.
    let last = select_unpredictable(report, now, last);
    progress.rx_flags = select_unpredictable(ingress, flags, progress.rx_flags);
    progress.tx_flags = select_unpredictable(ingress, progress.tx_flags, flags);
    progress.last_rx_report = select_unpredictable(ingress, last, progress.last_rx_report);
    progress.last_tx_report = select_unpredictable(ingress, progress.last_tx_report, last);
    select_unpredictable(report, settings.report_headers, 0)
}
