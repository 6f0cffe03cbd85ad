//! What a live tracker has counted, in the OpenMetrics text format that Prometheus reads.

use std::io::{self, Write};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::live::Statistics;

/// What distinguishes the samples of one metric.
type Labels = [(&'static str, &'static str); 1];

/// Writes statistics.
///
/// # Errors
/// If writing fails.
pub fn statistics(statistics: &Statistics<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut text = String::new();
    encode(&mut text, &registry(statistics)).map_err(io::Error::other)?;
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn registry(statistics: &Statistics<'_>) -> Registry {
    let mut registry = Registry::with_prefix("flowkeep");
    let totals = statistics.totals;
    let mut gauge = |name, help, value: u64| {
        let gauge: Gauge = Gauge::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    };
    gauge(
        "capacity",
        "Connections that the table can hold",
        totals.capacity,
    );
    gauge(
        "expired",
        "Entries whose timeout has passed and whose slots were not needed since",
        totals.census.expired,
    );
    let connections: Family<Labels, Gauge> = Family::default();
    for (state, count) in totals.by_state() {
        let gauge = connections.get_or_create(&[("state", state.name())]);
        gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    registry.register("connections", "Connections by state", connections);
    registry.register(
        "entries",
        "What has happened to the table's entries",
        counters("event", totals.entries()),
    );
    let errors = totals.errors().map(|(error, count)| (error.name(), count));
    registry.register(
        "packets_not_tracked",
        "Packets that were not tracked",
        counters("reason", errors),
    );
    registry
}

fn counters(
    label: &'static str,
    counts: impl IntoIterator<Item = (&'static str, u64)>,
) -> Family<Labels, Counter> {
    let family: Family<Labels, Counter> = Family::default();
    for (name, count) in counts {
        family.get_or_create(&[(label, name)]).inc_by(count);
    }
    family
}
