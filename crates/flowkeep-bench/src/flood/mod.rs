//! `cargo xtask bench flood`: what is left of idle connections after a flood of SYNs.

mod idle;
mod raw;
mod report;
mod syns;

use anyhow::{Result, bail};
use flowkeep_lab::missing;

use self::report::{Report, Row};
use super::veth::scene::{Scene, Tracking};

/// Flood a server that has idle connections with SYNs from forged addresses, between two
/// namespaces, and count which connections its tracker still knows: Flowkeep, and the classic
/// design over the kernel's LRU hash maps.
///
/// Needs root and nft. Half of the SYNs are answered (by SYN cookies), half are not.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// Seconds that the flood lasts.
    #[arg(long, value_name = "S", default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Idle connections.
    #[arg(long, value_name = "N", default_value_t = 50_000,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(idle::MOST)))]
    connections: u32,
    /// Slots of our table, at least, and entries of each of the reference's maps.
    #[arg(long, value_name = "N", default_value_t = 1 << 16,
        value_parser = clap::value_parser!(u32).range(48..=1 << 24))]
    slots: u32,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(missing) = missing(&["nft"]) {
        bail!("{missing}");
    }
    let mut rows = Vec::new();
    for tracking in [Tracking::Flowkeep, Tracking::Reference] {
        eprintln!(
            "{} idle connections, tracked by {}",
            args.connections,
            tracking.name()
        );
        let scene = Scene::new(tracking, args.slots)?;
        idle::open(&scene, args.connections)?;
        let (before, created) = (idle::known(&scene)?, scene.created()?);
        eprintln!("{} seconds of SYNs", args.seconds);
        let sent = syns::send(&scene, args.seconds)?;
        let after = idle::known(&scene)?;
        rows.push(Row {
            tracking,
            idle: args.connections,
            known_before: before.len(),
            syns: sent,
            syns_per_second: sent as f64 / args.seconds as f64,
            created: scene
                .created()?
                .zip(created)
                .map(|(after, before)| after - before),
            lost: before.difference(&after).count(),
        });
    }
    let report = Report {
        slots: args.slots,
        seconds: args.seconds,
        rows,
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}
