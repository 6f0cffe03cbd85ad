//! Attaching programs to interfaces, and detaching them.

mod filter;
mod pin;
mod point;

use std::io::{self, ErrorKind};
use std::os::unix::net::UnixListener;

use aya::programs::tc::SchedClassifierLink;
use aya::programs::{ProgramError, SchedClassifier, TcAttachType};
use nix::net::if_::{if_nameindex, if_nametoindex};

pub use self::filter::detach_abandoned;
pub(crate) use self::pin::Pin;
pub use self::pin::pinned;
use self::point::{AttachPoint, without_tcx};
use crate::{Attached, Device, Error, Hook, Kernel, Means, maps};

/// A program that this process has attached. Dropping this detaches it, unless a pin keeps it
/// attached.
#[derive(Debug)]
pub(crate) struct Attachment {
    attached: Attached,
    /// `None` if it is pinned.
    _link: Option<SchedClassifierLink>,
    /// Shows other processes that a filter is in use.
    _owner: Option<UnixListener>,
}

impl Kernel {
    /// The program for a hook and a device, loaded and verified.
    ///
    /// # Errors
    /// [`Error::Load`].
    pub fn program(&mut self, hook: Hook, device: Device) -> Result<&mut SchedClassifier, Error> {
        self.program_named(hook.program(device))
    }

    /// The program of this name, loaded and verified: for tests.
    ///
    /// # Errors
    /// [`Error::Load`].
    #[doc(hidden)]
    pub fn program_named(&mut self, name: &str) -> Result<&mut SchedClassifier, Error> {
        let program = self
            .programs()?
            .program_mut(name)
            .ok_or_else(|| Error::Load(format!("there is no program {name}").into()))?;
        let program: &mut SchedClassifier = program.try_into().map_err(Error::load)?;
        load(program).map_err(Error::load)?;
        Ok(program)
    }

    /// Attaches the program for a hook to an interface of the current network namespace, in
    /// addition to other programs there: by a tcx link, or on kernels before 6.6 by a filter of the
    /// clsact queueing discipline.
    ///
    /// It is detached when `self` is dropped; with `pin`, it stays until [`Self::detach`]. A
    /// program that is pinned for this hook already is replaced atomically, so that no packet goes
    /// untracked.
    ///
    /// # Errors
    /// [`Error::Interface`], [`Error::Kind`], [`Error::Load`], [`Error::Attach`],
    /// [`Error::Attached`], [`Error::NameTaken`], [`Error::Elsewhere`], and [`Error::NoFolder`] for `pin` without a
    /// [folder](crate::Options::pin).
    pub fn attach(&mut self, interface: &str, hook: Hook, pin: bool) -> Result<(), Error> {
        let device = Device::of(interface)?;
        let folder = match (pin, &self.pin) {
            (false, _) => None,
            (true, Some(folder)) => Some(folder.clone()),
            (true, None) => return Err(Error::NoFolder),
        };
        let means = self.means;
        let point = AttachPoint {
            interface,
            hook,
            folder: folder.as_deref(),
        };
        let in_use = pin && self.attached()?.iter().any(|other| point.is(other));
        let program = self.program(hook, device)?;
        let attachment = match means {
            Some(Means::Clsact) => point.by_filter(program)?,
            Some(Means::Tcx) => point
                .by_link(program, in_use)
                .map_err(|error| point.failed(error))?,
            None => match point.by_link(program, in_use) {
                Err(error) if without_tcx(&error) => point.by_filter(program)?,
                done => done.map_err(|error| point.failed(error))?,
            },
        };
        self.attachments.retain(|other| !point.is(&other.attached));
        self.attachments.push(attachment);
        Ok(())
    }

    /// Detaches the programs of this table from an interface that this process has attached or that
    /// are pinned. Returns whether there was one. A program that only a pin kept attached may see
    /// packets for a moment longer, until the kernel has removed it.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn detach(&mut self, interface: &str) -> Result<bool, Error> {
        self.detach_if(|attached| attached.interface == interface)
    }

    /// As [`Self::detach`], from every interface.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn detach_all(&mut self) -> Result<bool, Error> {
        self.detach_if(|_| true)
    }

    fn detach_if(&mut self, chosen: impl Fn(&Attached) -> bool) -> Result<bool, Error> {
        let before = self.attachments.len();
        self.attachments
            .retain(|attachment| !chosen(&attachment.attached));
        let mut any = self.attachments.len() != before;
        for pin in self.pins()? {
            if chosen(&pin.attached) {
                any = true;
                pin.detach()?;
            }
        }
        Ok(any)
    }

    /// Where programs of this table are attached now: all tcx links of the current network
    /// namespace, and those filters that this process has attached or that are pinned.
    ///
    /// # Errors
    /// [`Error::Map`], [`Error::Query`], [`Error::File`].
    pub fn attached(&self) -> Result<Vec<Attached>, Error> {
        let mut all = self.links()?;
        let own = self.attachments.iter().map(|own| own.attached.clone());
        let pinned = self.pins()?.into_iter().filter(Pin::is_here);
        let pinned = pinned.map(|pin| pin.attached);
        for attached in own.chain(pinned) {
            let is_there = if_nametoindex(attached.interface.as_str()).is_ok();
            if attached.means == Means::Clsact && is_there && !all.contains(&attached) {
                all.push(attached);
            }
        }
        Ok(all)
    }

    /// The tcx links to programs that use this table.
    fn links(&self) -> Result<Vec<Attached>, Error> {
        let table = self.maps.table_id()?;
        let interfaces = if_nameindex().map_err(|error| Error::query(io::Error::from(error)))?;
        let mut links = Vec::new();
        for interface in interfaces.iter() {
            let name = interface.name().to_string_lossy();
            for side in [TcAttachType::Ingress, TcAttachType::Egress] {
                // Fails on kernels without tcx, and if the interface is removed meanwhile.
                let Ok((_, programs)) = SchedClassifier::query_tcx(&name, side) else {
                    continue;
                };
                for program in programs {
                    if !maps::used_by(&program).contains(&table) {
                        continue;
                    }
                    let hook = Hook::ALL.into_iter().find(|hook| {
                        [Device::Ethernet, Device::Ip]
                            .map(|device| hook.program(device))
                            .contains(&program.name_as_str().unwrap_or_default())
                    });
                    if let Some(hook) = hook {
                        links.push(Attached {
                            interface: name.clone().into_owned(),
                            hook,
                            means: Means::Tcx,
                        });
                    }
                }
            }
        }
        Ok(links)
    }

    /// The programs that are pinned.
    fn pins(&self) -> Result<Vec<Pin>, Error> {
        self.pin
            .as_deref()
            .map_or_else(|| Ok(Vec::new()), pin::pins)
    }
}

/// Loads a program, if it is not loaded yet.
fn load(program: &mut SchedClassifier) -> Result<(), ProgramError> {
    let mut tries = LOAD_TRIES;
    loop {
        tries -= 1;
        match program.load() {
            Ok(()) | Err(ProgramError::AlreadyLoaded) => return Ok(()),
            Err(ProgramError::LoadError { io_error, .. })
                if io_error.kind() == ErrorKind::WouldBlock && tries > 0 => {}
            Err(error) => return Err(error),
        }
    }
}

/// How often loading a program is tried: the verifier gives up (EAGAIN) when a signal arrives, even
/// one that only stops and continues the process.
const LOAD_TRIES: u32 = 16;
