//! Attaching a program to one place, by a link or by a filter.

use std::fs;
use std::io::ErrorKind;
use std::mem::forget;
use std::path::Path;

use aya::programs::links::{FdLink, LinkOrder, PinnedLink};
use aya::programs::tc::{SchedClassifierLink, TcAttachOptions};
use aya::programs::{ProgramError, SchedClassifier, tc};

use super::filter::{Filter, OWN, PINNED, options};
use super::pin::{Identity, pins};
use super::{Attachment, Pin};
use crate::error::system;
use crate::{Attached, Error, Hook, Means};

/// Where a program is to be attached, and the folder that it is to be pinned to.
pub(super) struct Place<'p> {
    pub(super) interface: &'p str,
    pub(super) hook: Hook,
    pub(super) folder: Option<&'p Path>,
}

impl Place<'_> {
    /// Whether a program is attached just here.
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

    /// Attaches by a tcx link. If one that is pinned is `in_use`, it gets another program.
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
                    // The pin holds it.
                    drop(program.take_link(id)?);
                    if in_use {
                        return Ok(self.attachment(Means::Tcx, None));
                    }
                    return Err(Box::new(Error::Elsewhere {
                        interface: self.interface.to_owned(),
                        path: path.clone(),
                    }));
                }
                // Its interface has gone, even if there is one of the same name.
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

    /// Attaches by a filter.
    pub(super) fn by_filter(&self, program: &mut SchedClassifier) -> Result<Attachment, Error> {
        match tc::qdisc_add_clsact(self.interface) {
            Ok(()) => {}
            // Others share it.
            Err(error) if is_there_already(&error) => {}
            Err(error) => return Err(self.failed(error)),
        }
        let filter = Filter::new(self.interface, self.hook);
        match self.folder {
            None => self.by_own_filter(program, &filter),
            Some(folder) => self.by_pinned_filter(program, &filter, folder),
        }
    }

    /// By a filter that goes with this process.
    fn by_own_filter(
        &self,
        program: &mut SchedClassifier,
        filter: &Filter<'_>,
    ) -> Result<Attachment, Error> {
        let owner = filter.own().map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => self.attached_by_another(),
            _ => self.failed(error),
        })?;
        // Of a process that was killed: whoever lives has its name.
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

    /// By a filter that stays. One that is there for its pin gets another program.
    fn by_pinned_filter(
        &self,
        program: &mut SchedClassifier,
        filter: &Filter<'_>,
        folder: &Path,
    ) -> Result<Attachment, Error> {
        let identity = Identity::of(self.interface).map_err(|error| self.failed(error))?;
        let path = folder.join(Pin::name(self.interface, self.hook, Some(identity)));
        // Perhaps under another name that the interface had.
        let pinned = pins(folder)?.into_iter().find(|pin| {
            pin.attached.means == Means::Clsact && pin.is_here() && self.is(&pin.attached)
        });
        let replaced = if pinned.is_some() {
            let known = filter.link(PINNED).map_err(|error| self.failed(error))?;
            // Fails if it has gone with its interface or queueing discipline.
            program.attach_to_link(known).ok()
        } else {
            None
        };
        let id = match replaced {
            Some(id) => id,
            None => program
                .attach_with_options(self.interface, self.hook.side(), options(PINNED))
                .map_err(|error| match error {
                    ProgramError::TcError(error) if is_there_already(&error) => {
                        self.attached_by_another()
                    }
                    error => self.failed(error),
                })?,
        };
        let link = program.take_link(id).map_err(|error| self.failed(error))?;
        if let Some(pin) = pinned {
            fs::remove_file(pin.path).map_err(|error| self.failed(error))?;
        }
        program.pin(&path).map_err(|error| self.failed(error))?;
        // The filter is to stay.
        forget(link);
        Ok(self.attachment(Means::Clsact, None))
    }

    fn attached_by_another(&self) -> Error {
        Error::Attached {
            interface: self.interface.to_owned(),
        }
    }
}

/// Why something failed.
type Reason = Box<dyn std::error::Error + Send + Sync>;

/// Whether the kernel does not know tcx links: before 6.6 it says that the argument is invalid.
pub(super) fn without_tcx(reason: &Reason) -> bool {
    matches!(reason.downcast_ref(), Some(ProgramError::SyscallError(error))
        if error.io_error.kind() == ErrorKind::InvalidInput)
}

/// Whether a link can have no other program because its interface has gone.
fn has_no_device(error: &ProgramError) -> bool {
    matches!(error, ProgramError::SyscallError(error)
        if error.io_error.raw_os_error() == Some(ENOLINK))
}

fn is_there_already(error: &tc::TcError) -> bool {
    match error {
        tc::TcError::AlreadyAttached => true,
        tc::TcError::NetlinkError(error) => error.raw_os_error() == Some(EEXIST),
        _ => false,
    }
}

/// The numbers of "file exists" and of "link has been severed" on Linux.
const EEXIST: i32 = 17;
/// See [`EEXIST`].
const ENOLINK: i32 = 67;
