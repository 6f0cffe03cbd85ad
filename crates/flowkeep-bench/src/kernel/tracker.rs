//! What is measured: a tracker in the kernel.

use anyhow::{Result, ensure};
use aya::programs::ProgramFd;

use super::driver::Driver;
use super::input::{Frames, Order, Side};

/// A tracker whose programs are loaded.
pub(crate) trait Tracker {
    /// The program for packets of one side.
    fn program(&self, side: Side) -> &ProgramFd;

    /// Calls `each` with the packets sent and received of each TCP connection in its table.
    fn for_each(&self, driver: &Driver, each: &mut dyn FnMut(Counts)) -> Result<()>;
}

/// Packets of one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) received: u64,
}

/// Establishes the connections of a driver's packets by three packets of each.
pub(crate) fn establish(
    tracker: &dyn Tracker,
    driver: &mut Driver,
    frames: &Frames,
    connections: u32,
) -> Result<Counts> {
    for (order, frame) in [
        (Order::Opening, &frames.syn),
        (Order::Reply, &frames.syn_ack),
        (Order::Forward, &frames.ack),
    ] {
        driver.run(tracker.program(order.side()), frame, order, connections)?;
    }
    Ok(Counts {
        sent: 2,
        received: 1,
    })
}

/// Fails unless the table holds so many connections, each with these packets: nothing that is
/// measured took another way than it should have.
pub(crate) fn verify(
    tracker: &dyn Tracker,
    driver: &Driver,
    connections: u32,
    expected: Counts,
) -> Result<()> {
    let (mut found, mut wrong) = (0, None);
    tracker.for_each(driver, &mut |counts| {
        found += 1;
        if counts != expected {
            wrong = Some(counts);
        }
    })?;
    ensure!(
        found == connections,
        "the table holds {found} connections after packets of {connections}"
    );
    ensure!(
        wrong.is_none(),
        "a connection counts {wrong:?} after {expected:?}"
    );
    Ok(())
}
