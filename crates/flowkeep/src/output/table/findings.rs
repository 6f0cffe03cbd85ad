//! What a machine offers for tracking.

use std::io::{self, Write};

use crate::live::Finding;

/// Writes the findings of [`check`](crate::live::check()), each with its remedy.
///
/// # Errors
/// If writing fails.
pub fn findings(findings: &[Finding], out: &mut dyn Write) -> io::Result<()> {
    for finding in findings {
        let verdict = match finding.present {
            Some(true) => "yes",
            Some(false) => "no",
            None => "?",
        };
        writeln!(out, "{:<16} {verdict:<4} {}", finding.name, finding.found)?;
        if finding.present == Some(false) {
            writeln!(out, "{:<16} {:<4} -> {}", "", "", finding.remedy)?;
        }
    }
    out.flush()
}
