//! Our own programs.

use std::path::Path;

use anyhow::{Context, Result};
use aya::programs::ProgramFd;
use flowkeep_bpf::{Device, Hook, Kernel, Options};
use flowkeep_core::settings::Settings;
use flowkeep_core::table::{SLOTS, Seed};

use super::driver::Driver;
use super::input::{Random, Side};
use super::tracker::{Counts, Tracker};

/// Our programs, loaded.
pub(crate) struct Ours {
    kernel: Kernel,
    forward: ProgramFd,
    reply: ProgramFd,
}

impl Ours {
    /// With a table of at least `capacity` slots, pinned if there is a folder for it.
    pub(crate) fn new(capacity: u32, folder: Option<&Path>, random: &mut Random) -> Result<Self> {
        let buckets = capacity.div_ceil(SLOTS as u32);
        let seed = Seed::from_words(core::array::from_fn(|_| random.number()));
        let mut options = Options::new(Settings::default(), buckets, seed);
        options.pin = folder.map(Path::to_owned);
        let mut kernel = Kernel::load(&options)?;
        let mut program = |hook| -> Result<ProgramFd> {
            let program = kernel.program(hook, Device::Ethernet)?;
            Ok(program
                .fd()
                .context("a program is not loaded")?
                .try_clone()?)
        };
        let (forward, reply) = (program(Hook::Egress)?, program(Hook::Ingress)?);
        Ok(Self {
            kernel,
            forward,
            reply,
        })
    }

    /// Whether packets and bytes are counted from now on.
    pub(crate) fn set_accounting(&mut self, accounting: bool) {
        self.kernel.configure(&Settings {
            accounting,
            ..Settings::default()
        });
    }
}

impl Tracker for Ours {
    fn program(&self, side: Side) -> &ProgramFd {
        match side {
            Side::Forward => &self.forward,
            Side::Reply => &self.reply,
        }
    }

    fn for_each(&self, _: &Driver, each: &mut dyn FnMut(Counts)) -> Result<()> {
        for (_, _, entry) in self.kernel.table().iter() {
            each(Counts {
                sent: entry.tx.packets,
                received: entry.rx.packets,
            });
        }
        Ok(())
    }
}
