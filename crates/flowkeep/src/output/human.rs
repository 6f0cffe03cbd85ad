//! Numbers and times for people.

use std::fmt;

use crate::connection::Timestamp;

/// A number of bytes: `512 B`, `1.5 KiB`.
#[derive(Clone, Copy, Debug)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut value = self.0 as f64 / 1024.0;
        let mut unit = 0;
        // From here on one decimal would show 1024.0.
        while value >= 1023.95 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        write!(f, "{value:.1} {}", UNITS[unit])
    }
}

/// Nanoseconds as `0 s`, `12.3 ms`, `4.56 s`, `1 min 02 s`, `3 h 04 min`, `5 d 06 h`.
pub(super) struct Elapsed(pub(super) u64);

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanoseconds = self.0;
        let seconds = nanoseconds / 1_000_000_000;
        match nanoseconds {
            0 => f.write_str("0 s"),
            1..1_000 => write!(f, "{nanoseconds} ns"),
            1_000..1_000_000 => write!(f, "{} µs", nanoseconds / 1_000),
            1_000_000..1_000_000_000 => decimal(f, nanoseconds / 100_000, 10, "ms"),
            _ if seconds < 60 => decimal(f, nanoseconds / 10_000_000, 100, "s"),
            _ if seconds < 3_600 => write!(f, "{} min {:02} s", seconds / 60, seconds % 60),
            _ if seconds < 86_400 => {
                write!(f, "{} h {:02} min", seconds / 3_600, seconds / 60 % 60)
            }
            _ => write!(f, "{} d {:02} h", seconds / 86_400, seconds / 3_600 % 24),
        }
    }
}

/// A fixed-point number, truncated: rounding would turn 59.999 s into a minute.
fn decimal(f: &mut fmt::Formatter<'_>, value: u64, scale: u64, unit: &str) -> fmt::Result {
    let digits = scale.ilog10() as usize;
    write!(f, "{}.{:0digits$} {unit}", value / scale, value % scale)
}

/// A number as `1,234,567`.
#[derive(Clone, Copy, Debug)]
pub struct Count(pub u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// `2026-11-23 12:34:56.123456`, in UTC.
pub(super) struct Time(pub(super) Timestamp);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        timestamp(self.0).strftime("%F %T%.6f").fmt(f)
    }
}

/// `2026-11-23T12:34:56.123456789Z` (RFC 3339).
pub(crate) struct Rfc3339(pub(crate) Timestamp);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.9}", timestamp(self.0))
    }
}

fn timestamp(time: Timestamp) -> jiff::Timestamp {
    // 64 bits of nanoseconds end in the year 2554, jiff in 9999.
    jiff::Timestamp::from_nanosecond(i128::from(time.0)).unwrap_or(jiff::Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_keep_to_three_or_four_digits() {
        for (bytes, text) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (1_536, "1.5 KiB"),
            (1_048_575, "1.0 MiB"),
            (880_000_000, "839.2 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }

    #[test]
    fn durations_never_round_up_to_the_next_unit() {
        for (nanoseconds, text) in [
            (0, "0 s"),
            (999, "999 ns"),
            (999_999, "999 µs"),
            (12_399_999, "12.3 ms"),
            (999_999_999, "999.9 ms"),
            (1_050_000_000, "1.05 s"),
            (59_999_999_999, "59.99 s"),
            (62_000_000_000, "1 min 02 s"),
            (11_040_000_000_000, "3 h 04 min"),
            (453_600_000_000_000, "5 d 06 h"),
        ] {
            assert_eq!(Elapsed(nanoseconds).to_string(), text);
        }
    }

    #[test]
    fn counts_are_grouped_by_thousands() {
        for (count, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(Count(count).to_string(), text);
        }
    }

    #[test]
    fn times_are_utc() {
        let time = Timestamp(1_151_330_401_000_001_234);
        assert_eq!(Time(time).to_string(), "2006-06-26 14:00:01.000001");
        assert_eq!(Rfc3339(time).to_string(), "2006-06-26T14:00:01.000001234Z");
        assert_eq!(
            Rfc3339(Timestamp(0)).to_string(),
            "1970-01-01T00:00:00.000000000Z"
        );
        assert_eq!(
            Time(Timestamp(u64::MAX)).to_string(),
            "2554-07-21 23:34:33.709551"
        );
    }
}
