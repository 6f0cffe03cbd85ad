//! Whose rules the programs track by: chosen when an object is built.

#[cfg(feature = "cilium18")]
pub(crate) use flowkeep_core::rules::Cilium18 as Rules;
#[cfg(feature = "cilium119")]
pub(crate) use flowkeep_core::rules::Cilium119 as Rules;
#[cfg(not(any(feature = "cilium18", feature = "cilium119")))]
pub(crate) use flowkeep_core::rules::Default as Rules;
