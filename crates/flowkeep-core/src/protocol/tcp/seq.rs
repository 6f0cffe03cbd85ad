//! Sequence numbers.

/// A sequence number. Comparisons are modulo 2^32 (RFC 9293, 3.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Seq(pub u32);

impl Seq {
    /// `self > other`.
    #[must_use]
    #[inline]
    pub const fn after(self, other: Self) -> bool {
        (other.0.wrapping_sub(self.0) as i32) < 0
    }

    /// `self < other`.
    #[must_use]
    #[inline]
    pub const fn before(self, other: Self) -> bool {
        other.after(self)
    }

    /// The later of two.
    #[must_use]
    #[inline]
    pub const fn latest(self, other: Self) -> Self {
        if other.after(self) { other } else { self }
    }

    /// How many numbers lie from `earlier` to this one.
    #[must_use]
    #[inline]
    pub const fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// `count` numbers later.
    #[must_use]
    #[inline]
    pub const fn plus(self, count: u32) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// `count` numbers earlier.
    #[must_use]
    #[inline]
    pub const fn minus(self, count: u32) -> Self {
        Self(self.0.wrapping_sub(count))
    }

    /// Rounded up to a multiple of `2^shift`, which is idempotent.
    #[must_use]
    #[inline]
    pub(super) const fn round_up(self, shift: u32) -> Self {
        let below = (1 << shift) - 1;
        Self(self.0.wrapping_add(below) & !below)
    }
}

#[cfg(test)]
mod tests {
    use super::Seq;

    #[test]
    fn comparisons_wrap() {
        let last = Seq(u32::MAX);
        assert!(Seq(5).after(last) && last.before(Seq(5)));
        assert!(!last.after(last));
        assert_eq!(Seq(5).since(last), 6);
        assert_eq!(last.latest(Seq(0)), Seq(0));
        assert_eq!(last.plus(1), Seq(0));
        assert_eq!(Seq(0).minus(1), last);
    }

    #[test]
    fn rounding_up_wraps_and_is_idempotent() {
        assert_eq!(Seq(1).round_up(0), Seq(1));
        assert_eq!(Seq(1).round_up(14), Seq(1 << 14));
        assert_eq!(Seq(1 << 14).round_up(14), Seq(1 << 14));
        assert_eq!(Seq(u32::MAX).round_up(14), Seq(0));
    }
}
