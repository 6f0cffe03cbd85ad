//! What a tracker has counted, as text for Prometheus.

use std::io::{self, Write};

use flowkeep::live::Report;
use flowkeep_core::table::Statistic;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// What distinguishes the numbers of one name.
type Labels = [(&'static str, &'static str); 1];

/// Writes it in the text format of OpenMetrics.
pub(super) fn write(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut text = String::new();
    encode(&mut text, &registry(report)).map_err(io::Error::other)?;
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn registry(report: &Report<'_>) -> Registry {
    let mut registry = Registry::with_prefix("flowkeep");
    let totals = report.totals;
    let mut gauge = |name, help, value: u64| {
        let gauge: Gauge = Gauge::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    };
    gauge(
        "capacity",
        "Connections that the table has room for",
        totals.capacity,
    );
    gauge(
        "expired",
        "Connections whose timeout has passed and whose room nobody has needed yet",
        totals.census.expired,
    );
    let connections: Family<Labels, Gauge> = Family::default();
    for (state, count) in report.states() {
        let gauge = connections.get_or_create(&[("state", state.name())]);
        gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    registry.register("connections", "Connections by state", connections);
    let entries = Statistic::ALL.map(|kind| (kind.name(), totals.statistic(kind)));
    registry.register(
        "entries",
        "What has happened to the table's entries",
        counters("event", entries),
    );
    let errors = report.errors().map(|(error, count)| (error.name(), count));
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
