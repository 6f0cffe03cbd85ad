//! Attaching programs to interfaces, and detaching them.

use std::fs;
use std::io::{self, ErrorKind};
use std::mem::forget;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};

use aya::programs::links::{FdLink, LinkOrder, PinnedLink};
use aya::programs::tc::{NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle};
use aya::programs::{Link, ProgramError, SchedClassifier, TcAttachType, tc};
use nix::net::if_::{if_nameindex, if_nametoindex};

use crate::{Attached, Device, Error, Hook, Kernel, Means, maps};

/// A program that this process has attached. When it is dropped, the program is detached, unless a
/// pin keeps it.
#[derive(Debug)]
pub(crate) struct Attachment {
    attached: Attached,
    /// `None` if it is pinned.
    _link: Option<SchedClassifierLink>,
    /// Tells other processes that a filter is in use.
    _owner: Option<UnixListener>,
}

/// Filters are found by these numbers, so that nobody else's is touched. A kernel gives numbers
/// from 0xc000 downwards to filters without one.
const PRIORITY: u16 = 0xf10b;
/// The filter of a process.
const OWN: TcHandle = TcHandle::new(0, 1);
/// A filter that is pinned.
const PINNED: TcHandle = TcHandle::new(0, 2);

impl Kernel {
    /// The program for a hook and a device, loaded and verified.
    ///
    /// # Errors
    /// [`Error::Load`].
    pub fn program(&mut self, hook: Hook, device: Device) -> Result<&mut SchedClassifier, Error> {
        let name = hook.program(device);
        let program = self
            .programs()?
            .program_mut(name)
            .ok_or_else(|| Error::Load(format!("there is no program {name}").into()))?;
        let program: &mut SchedClassifier = program.try_into().map_err(Error::load)?;
        load(program).map_err(Error::load)?;
        Ok(program)
    }

    /// Attaches the program for a hook to an interface of the current network namespace, beside
    /// whatever is attached there: by a tcx link, or on kernels before 6.6 by a filter of the
    /// clsact queueing discipline.
    ///
    /// It is detached when `self` is dropped; with `pin`, it stays until [`Self::detach`]. What is
    /// pinned for this hook already is replaced by this process's program, at once, without a
    /// packet in between that nobody sees.
    ///
    /// # Errors
    /// [`Error::Interface`], [`Error::Kind`], [`Error::Load`], [`Error::Attach`],
    /// [`Error::Attached`], and [`Error::NoFolder`] for `pin` without a
    /// [folder](crate::Options::pin).
    pub fn attach(&mut self, interface: &str, hook: Hook, pin: bool) -> Result<(), Error> {
        let device = Device::of(interface)?;
        let folder = match (pin, &self.pin) {
            (false, _) => None,
            (true, Some(folder)) => Some(folder.clone()),
            (true, None) => return Err(Error::NoFolder),
        };
        let means = self.means;
        let place = Place {
            interface,
            hook,
            folder: folder.as_deref(),
        };
        let in_use = pin && self.attached()?.iter().any(|other| place.is(other));
        let program = self.program(hook, device)?;
        let attachment = match means {
            Some(Means::Clsact) => place.by_filter(program)?,
            Some(Means::Tcx) => place
                .by_link(program, in_use)
                .map_err(|error| place.failed(error))?,
            None => match place.by_link(program, in_use) {
                Err(error) if without_tcx(&error) => place.by_filter(program)?,
                done => done.map_err(|error| place.failed(error))?,
            },
        };
        self.attachments.retain(|other| !place.is(&other.attached));
        self.attachments.push(attachment);
        Ok(())
    }

    /// Detaches every program of this table from an interface, by whomever it was attached or
    /// pinned. Whether there was one. What only a pin kept attached sees packets for a moment
    /// longer, until the kernel has taken it away.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn detach(&mut self, interface: &str) -> Result<bool, Error> {
        self.detach_if(|attached| attached.interface == interface)
    }

    /// Detaches every program of this table from every interface. Whether there was one.
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

    /// Where programs of this table are attached now: tcx links of the current network namespace
    /// by whomever they were made, and the filters that this process has or that are pinned.
    ///
    /// # Errors
    /// [`Error::Map`], [`Error::Query`], [`Error::File`].
    pub fn attached(&self) -> Result<Vec<Attached>, Error> {
        let mut all = self.links()?;
        let own = self.attachments.iter().map(|own| own.attached.clone());
        let pinned = self.pins()?.into_iter().map(|pin| pin.attached);
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
                // Refused by kernels without tcx, and where an interface goes meanwhile.
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

    /// What is pinned beside the maps.
    fn pins(&self) -> Result<Vec<Pin>, Error> {
        let Some(folder) = &self.pin else {
            return Ok(Vec::new());
        };
        let failed = |source| Error::File {
            path: folder.clone(),
            source,
        };
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut pins = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            pins.extend(Pin::at(path));
        }
        Ok(pins)
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

/// How often a program is loaded before that fails: the verifier gives up (EAGAIN) when a signal
/// arrives, also one that only stops the process until it is continued.
const LOAD_TRIES: u32 = 16;

/// Where a program is to be attached, and the folder that it is to be pinned to.
struct Place<'p> {
    interface: &'p str,
    hook: Hook,
    folder: Option<&'p Path>,
}

impl Place<'_> {
    /// Whether a program is attached just here.
    fn is(&self, other: &Attached) -> bool {
        self.interface == other.interface && self.hook == other.hook
    }

    fn failed(&self, error: impl Into<Reason>) -> Error {
        let reason = error.into();
        Error::Attach {
            interface: self.interface.to_owned(),
            // What the kernel says is of more use than by which call it was asked.
            source: match reason.downcast() {
                Ok(program) => match *program {
                    ProgramError::SyscallError(error) => error.io_error.into(),
                    error => error.into(),
                },
                Err(other) => other,
            },
        }
    }

    fn attachment(&self, means: Means, link: Option<SchedClassifierLink>) -> Attachment {
        Attachment {
            attached: Attached {
                interface: self.interface.to_owned(),
                hook: self.hook,
                means,
            },
            _link: link,
            _owner: None,
        }
    }

    /// Attaches by a tcx link. If one that is pinned is `in_use`, it gets another program.
    fn by_link(&self, program: &mut SchedClassifier, in_use: bool) -> Result<Attachment, Reason> {
        let path = self
            .folder
            .map(|folder| folder.join(Pin::name(self.interface, self.hook, Means::Tcx)));
        if let Some(path) = &path
            && path.exists()
        {
            if in_use {
                let link: FdLink = PinnedLink::from_pin(path)?.into();
                let id = program.attach_to_link(link.try_into()?)?;
                // The pin holds it.
                drop(program.take_link(id)?);
                return Ok(self.attachment(Means::Tcx, None));
            }
            // Its interface has gone, even if there is one of the same name.
            fs::remove_file(path)?;
        }
        let order = TcAttachOptions::TcxOrder(LinkOrder::default());
        let id = program.attach_with_options(self.interface, self.hook.side(), order)?;
        let link = program.take_link(id)?;
        let Some(path) = path else {
            return Ok(self.attachment(Means::Tcx, Some(link)));
        };
        let link: FdLink = link.try_into()?;
        link.pin(path)?;
        Ok(self.attachment(Means::Tcx, None))
    }

    /// Attaches by a filter.
    fn by_filter(&self, program: &mut SchedClassifier) -> Result<Attachment, Error> {
        match tc::qdisc_add_clsact(self.interface) {
            Ok(()) => {}
            // Others share it.
            Err(error) if is_there_already(&error) => {}
            Err(error) => return Err(self.failed(error)),
        }
        let side = self.hook.side();
        let known = |handle| {
            SchedClassifierLink::attached(self.interface, side, PRIORITY, handle, None)
                .map_err(|error| self.failed(error))
        };
        let options = |handle| {
            TcAttachOptions::Netlink(NlOptions {
                priority: PRIORITY,
                handle,
                classid: None,
            })
        };
        let Some(folder) = self.folder else {
            let owner = self.own()?;
            // Of a process that was killed: it is of nobody else, who would have the name.
            let _ = known(OWN)?.detach();
            let id = program
                .attach_with_options(self.interface, side, options(OWN))
                .map_err(|error| self.failed(error))?;
            let link = program.take_link(id).map_err(|error| self.failed(error))?;
            return Ok(Attachment {
                _owner: Some(owner),
                ..self.attachment(Means::Clsact, Some(link))
            });
        };
        let path = folder.join(Pin::name(self.interface, self.hook, Means::Clsact));
        let replaced = if path.exists() {
            program.attach_to_link(known(PINNED)?).ok()
        } else {
            None
        };
        let id = match replaced {
            Some(id) => id,
            None => program
                .attach_with_options(self.interface, side, options(PINNED))
                .map_err(|error| match error {
                    ProgramError::TcError(error) if is_there_already(&error) => {
                        self.attached_by_another()
                    }
                    error => self.failed(error),
                })?,
        };
        let link = program.take_link(id).map_err(|error| self.failed(error))?;
        if path.exists() {
            fs::remove_file(&path).map_err(|error| self.failed(error))?;
        }
        program.pin(&path).map_err(|error| self.failed(error))?;
        // The filter is to stay.
        forget(link);
        Ok(self.attachment(Means::Clsact, None))
    }

    /// Takes a name that other processes see while this one lives, in this network namespace: a
    /// socket, to which nobody connects.
    fn own(&self) -> Result<UnixListener, Error> {
        let index = if_nametoindex(self.interface).map_err(|error| self.failed(error))?;
        let side = match self.hook.side() {
            TcAttachType::Egress => "egress",
            _ => "ingress",
        };
        let name = format!("flowkeep/filter/{index}/{side}");
        let address = SocketAddr::from_abstract_name(name).map_err(|error| self.failed(error))?;
        UnixListener::bind_addr(&address).map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => self.attached_by_another(),
            _ => self.failed(error),
        })
    }

    fn attached_by_another(&self) -> Error {
        Error::Attached {
            interface: self.interface.to_owned(),
        }
    }
}

/// A program that a pin keeps attached.
struct Pin {
    path: PathBuf,
    attached: Attached,
}

impl Pin {
    /// The name of the pin in its folder. The BPF file system takes no dots, which names of VLAN
    /// interfaces have; no interface's name has a colon.
    fn name(interface: &str, hook: Hook, means: Means) -> String {
        let interface = interface.replace('.', ":");
        let suffix = match means {
            Means::Tcx => "",
            Means::Clsact => FILTER,
        };
        format!("{}{suffix}@{interface}", hook.name())
    }

    /// The inverse of [`Self::name`]; `None` for pins of maps.
    fn at(path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let (hook, interface) = name.split_once('@')?;
        let (hook, means) = match hook.strip_suffix(FILTER) {
            Some(hook) => (hook, Means::Clsact),
            None => (hook, Means::Tcx),
        };
        let hook = Hook::ALL.into_iter().find(|each| each.name() == hook)?;
        let attached = Attached {
            interface: interface.replace(':', "."),
            hook,
            means,
        };
        Some(Self { path, attached })
    }

    fn detach(self) -> Result<(), Error> {
        let Attached {
            interface,
            hook,
            means,
        } = &self.attached;
        if *means == Means::Clsact
            && let Ok(link) =
                SchedClassifierLink::attached(interface, hook.side(), PRIORITY, PINNED, None)
        {
            // It may have gone with its queueing discipline.
            let _ = link.detach();
        }
        fs::remove_file(&self.path).map_err(|source| Error::File {
            path: self.path,
            source,
        })
    }
}

/// What follows the hook in the name of a filter's pin.
const FILTER: &str = "-filter";

/// Why something failed.
type Reason = Box<dyn std::error::Error + Send + Sync>;

/// Whether the kernel does not know tcx links: before 6.6 it says that the argument is invalid.
fn without_tcx(reason: &Reason) -> bool {
    matches!(reason.downcast_ref(), Some(ProgramError::SyscallError(error))
        if error.io_error.kind() == ErrorKind::InvalidInput)
}

fn is_there_already(error: &tc::TcError) -> bool {
    match error {
        tc::TcError::AlreadyAttached => true,
        tc::TcError::NetlinkError(error) => error.raw_os_error() == Some(EEXIST),
        _ => false,
    }
}

/// The number of "file exists" on Linux.
const EEXIST: i32 = 17;

#[cfg(test)]
mod tests {
    use super::{Hook, Means, Pin};

    #[test]
    fn names_of_pins_can_be_read_back() {
        for interface in ["eth0", "eth0.100", "a_b", "a@b"] {
            for (hook, means) in [(Hook::Forward, Means::Tcx), (Hook::Egress, Means::Clsact)] {
                let name = Pin::name(interface, hook, means);
                assert!(!name.contains('.'), "{name}");
                let pin = Pin::at(name.into()).expect("a pin's name");
                assert_eq!(pin.attached.interface, interface);
                assert_eq!((pin.attached.hook, pin.attached.means), (hook, means));
            }
        }
        assert!(Pin::at("HEADER".into()).is_none());
    }
}
