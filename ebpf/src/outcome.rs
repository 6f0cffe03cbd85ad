//! The steps of a packet's way, and what comes of each.

use flowkeep_core::Error;

/// What is to be done next about a packet, in one register: what is returned through memory has
/// bytes that stay unset, which the verifier refuses to see copied.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Outcome(pub(crate) u32);

impl Outcome {
    /// There is no more to do for this packet.
    pub(crate) const DONE: Self = Self(0);
    /// On to the next step.
    pub(crate) const GO_ON: Self = Self(1);
    /// On to the next step: it is IPv6.
    pub(crate) const GO_ON_V6: Self = Self(2);
    /// [`Step::Search`](flowkeep_core::tracker::Step::Search), in both directions.
    pub(crate) const SEARCH: Self = Self(3);
    /// [`Step::Search`](flowkeep_core::tracker::Step::Search), in the packet's own direction.
    pub(crate) const SEARCH_OWN: Self = Self(4);
    /// [`Step::Update`](flowkeep_core::tracker::Step::Update) of what the scratch has.
    pub(crate) const UPDATE: Self = Self(5);
    /// [`Step::Create`](flowkeep_core::tracker::Step::Create)
    pub(crate) const CREATE: Self = Self(6);
    /// Done, and there is an event to report.
    pub(crate) const EMIT: Self = Self(7);
    /// The packet would begin a connection that is not admitted.
    pub(crate) const NOT_ADMITTED: Self = Self(8);
    /// As [`Self::CREATE`], of a packet that most likely begins a connection: nobody has looked for
    /// it yet.
    pub(crate) const BEGIN: Self = Self(9);
    /// The insertion that a creation waits for, and then the creation again.
    pub(crate) const INSERT: Self = Self(10);
    /// Errors follow, by their index.
    const ERRORS: u32 = 11;

    #[inline(always)]
    pub(crate) const fn failed(error: Error) -> Self {
        Self(Self::ERRORS + error.index() as u32)
    }

    /// On, or the error.
    #[inline(always)]
    pub(crate) fn of(result: Result<(), Error>) -> Self {
        match result {
            Ok(()) => Self::GO_ON,
            Err(error) => Self::failed(error),
        }
    }

    /// The [`Error::index`] of what went wrong.
    #[inline(always)]
    pub(crate) const fn error(self) -> Option<u32> {
        self.0.checked_sub(Self::ERRORS)
    }
}

/// A step: a function that returns an [`Outcome`].
///
/// It is a global function of BPF, whose arguments and result are plain numbers and the context:
/// the verifier walks through it once in a program, whatever its callers know.
macro_rules! step {
    ($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*) -> Outcome $body:block) => {
        $(#[$doc])*
        #[inline(always)]
        pub(crate) fn $name($($argument: $type),*) -> crate::outcome::Outcome {
            #[unsafe(no_mangle)]
            #[inline(never)]
            extern "C" fn $name($($argument: $type),*) -> u32 {
                #[inline(always)]
                fn body($($argument: $type),*) -> crate::outcome::Outcome $body
                body($($argument),*).0
            }
            crate::outcome::Outcome($name($($argument),*))
        }
    };
}
pub(crate) use step;
