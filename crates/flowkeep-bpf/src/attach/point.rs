//! Attaching a program to one point, by a link or by a filter.

use std::fs;
use std::io::ErrorKind;
use std::mem::forget;
use std::path::Path;

use aya::programs::links::{FdLink, LinkOrder, PinnedLink};
use aya::programs::tc::{SchedClassifierLink, TcAttachOptions};
use aya::programs::{ProgramError, SchedClassifier, tc};

use super::filter::{Filter, OWN, Owner, PINNED, options};
use super::pin::{Identity, pins};
use super::{Attachment, Pin};
use crate::error::system;
use crate::{Attached, Error, Hook, Means};

/// Where a program is attached, and the folder to which it is pinned.
pub(super) struct AttachPoint<'p> {
    pub(super) interface: &'p str,
    pub(super) hook: Hook,
    pub(super) folder: Option<&'p Path>,
}

impl AttachPoint<'_> {
    /// Whether a program is attached at this point.
    pub(super) fn is(&self, other: &Attached) -> bool {
        self.interface == other.interface && self.hook == other.hook
    }

    pub(super) fn failed(&self, error: impl Into<Reason>) -> Error {
        let reason = match error.into().downcast() {
            Ok(error) => return *error,
            Err(reason) => reason,
        };
        Error::Attach {
            interface: self.interface.to_owned(),
            source: match system(&*reason) {
                Some(said) => said.into(),
                None => reason,
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

    /// Attaches the program by a tcx link. If a pinned link is `in_use`, its program is replaced.
    pub(super) fn by_link(
        &self,
        program: &mut SchedClassifier,
        in_use: bool,
    ) -> Result<Attachment, Reason> {
        let path = self
            .folder
            .map(|folder| folder.join(Pin::name(self.interface, self.hook, None)));
        if let Some(path) = &path
            && path.exists()
        {
            let link: FdLink = PinnedLink::from_pin(path)?.into();
            match program.attach_to_link(link.try_into()?) {
                Ok(id) => {
                    // The pin keeps it attached.
                    drop(program.take_link(id)?);
                    if in_use {
                        return Ok(self.attachment(Means::Tcx, None));
                    }
                    return Err(Box::new(Error::Elsewhere {
                        interface: self.interface.to_owned(),
                        path: path.clone(),
                    }));
                }
                // The link's interface is gone, even if there is another one of that name.
                Err(error) if has_no_device(&error) => fs::remove_file(path)?,
                Err(error) => return Err(error.into()),
            }
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

    /// Attaches the program by a filter.
    pub(super) fn by_filter(&self, program: &mut SchedClassifier) -> Result<Attachment, Error> {
        match tc::qdisc_add_clsact(self.interface) {
            Ok(()) => {}
            // All filters of an interface share one.
            Err(error) if exists_already(&error) => {}
            Err(error) => return Err(self.failed(error)),
        }
        let filter = Filter::new(self.interface, self.hook);
        match self.folder {
            None => self.by_own_filter(program, &filter),
            Some(folder) => self.by_pinned_filter(program, &filter, folder),
        }
    }

    /// Attaches by a filter that is detached when this process ends.
    fn by_own_filter(
        &self,
        program: &mut SchedClassifier,
        filter: &Filter<'_>,
    ) -> Result<Attachment, Error> {
        let owner = filter.own().map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => match filter.owner() {
                Ok(Some(Owner::Stranger { process, user })) => Error::NameTaken {
                    interface: self.interface.to_owned(),
                    process,
                    user,
                },
                _ => self.attached_already(),
            },
            _ => self.failed(error),
        })?;
        // Left by a process that was killed: a living owner has the name.
        filter.detach(OWN);
        let id = program
            .attach_with_options(self.interface, self.hook.side(), options(OWN))
            .map_err(|error| self.failed(error))?;
        let link = program.take_link(id).map_err(|error| self.failed(error))?;
        Ok(Attachment {
            _owner: Some(owner),
            ..self.attachment(Means::Clsact, Some(link))
        })
    }

    /// Attaches by a filter that stays. If it has been pinned before, its program is replaced.
    fn by_pinned_filter(
        &self,
        program: &mut SchedClassifier,
        filter: &Filter<'_>,
        folder: &Path,
    ) -> Result<Attachment, Error> {
        let identity = Identity::of(self.interface).map_err(|error| self.failed(error))?;
        let path = folder.join(Pin::name(self.interface, self.hook, Some(identity)));
        // The interface may have had another name when it was pinned.
        let pinned = pins(folder)?.into_iter().find(|pin| {
            pin.attached.means == Means::Clsact && pin.is_here() && self.is(&pin.attached)
        });
        let replaced = if pinned.is_some() {
            let known = filter.link(PINNED).map_err(|error| self.failed(error))?;
            // Fails if the filter is gone with its interface or queueing discipline.
            program.attach_to_link(known).ok()
        } else {
            None
        };
        let id = match replaced {
            Some(id) => id,
            None => program
                .attach_with_options(self.interface, self.hook.side(), options(PINNED))
                .map_err(|error| match error {
                    ProgramError::TcError(error) if exists_already(&error) => {
                        self.attached_already()
                    }
                    error => self.failed(error),
                })?,
        };
        let link = program.take_link(id).map_err(|error| self.failed(error))?;
        if let Some(pin) = pinned {
            fs::remove_file(pin.path).map_err(|error| self.failed(error))?;
        }
        program.pin(&path).map_err(|error| self.failed(error))?;
        // Dropping the link would detach the filter.
        forget(link);
        Ok(self.attachment(Means::Clsact, None))
    }

    fn attached_already(&self) -> Error {
        Error::Attached {
            interface: self.interface.to_owned(),
        }
    }
}

/// Why something failed.
type Reason = Box<dyn std::error::Error + Send + Sync>;

/// Whether the error means that the kernel has no tcx links: kernels before 6.6 report an invalid
/// argument.
pub(super) fn without_tcx(reason: &Reason) -> bool {
    matches!(reason.downcast_ref(), Some(ProgramError::SyscallError(error))
        if error.io_error.kind() == ErrorKind::InvalidInput)
}

/// Whether a link's program can't be replaced because its interface is gone.
fn has_no_device(error: &ProgramError) -> bool {
    matches!(error, ProgramError::SyscallError(error)
        if error.io_error.raw_os_error() == Some(ENOLINK))
}

fn exists_already(error: &tc::TcError) -> bool {
    match error {
        tc::TcError::AlreadyAttached => true,
        tc::TcError::NetlinkError(error) => error.raw_os_error() == Some(EEXIST),
        _ => false,
    }
}

/// Linux's number for "file exists".
const EEXIST: i32 = 17;
/// Linux's number for "link has been severed".
const ENOLINK: i32 = 67;
