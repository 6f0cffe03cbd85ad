//! The object's type information (BTF), made fit for the kernel.
//!
//! Format: `Documentation/bpf/btf.rst` of the kernel.

use anyhow::{Context, Result, bail};
use object::{Object, ObjectSection};

/// Puts every member of a union at offset 0. Of Rust's enums with data, which the compiler
/// describes as variants, the linker makes unions whose members lie elsewhere, and the kernel
/// refuses all of the type information for one of them.
pub(super) fn repair(object: &mut [u8]) -> Result<()> {
    let file = object::File::parse(&*object)?;
    let section = file.section_by_name(".BTF").context("no .BTF section")?;
    let (offset, size) = section.file_range().context(".BTF is not in the file")?;
    let range = usize::try_from(offset)?..usize::try_from(offset + size)?;
    let btf = object.get_mut(range).context(".BTF is cut short")?;

    let (header, types, length) = (word(btf, 4)?, word(btf, 8)?, word(btf, 12)?);
    let mut at = header + types;
    let end = at + length;
    while at < end {
        let info = word(btf, at + 4)?;
        let (kind, count) = (info >> 24 & 31, info & 0xffff);
        at += 12;
        if kind == UNION {
            for member in 0..count {
                // Name, type, offset in bits.
                let place = at + member * 12 + 8;
                btf.get_mut(place..place + 4)
                    .context("a union is cut short")?
                    .fill(0);
            }
        }
        at += match kind {
            INT | VAR | DECL_TAG => 4,
            ARRAY => 12,
            STRUCT | UNION | DATASEC | ENUM64 => 12 * count,
            ENUM | FUNC_PROTO => 8 * count,
            PTR | FWD..=FUNC | FLOAT | TYPE_TAG => 0,
            other => bail!("a type of the unknown kind {other}"),
        };
    }
    Ok(())
}

/// Has the kernel overlook which line each instruction comes from: it refuses two lines for one,
/// as of an `asm!` without an instruction. What stays of this section tells functions apart.
pub(super) fn without_lines(object: &mut [u8]) -> Result<()> {
    /// Length of the part on lines, in the section's header.
    const LINES: usize = 20;
    let file = object::File::parse(&*object)?;
    let section = file.section_by_name(".BTF.ext").context("no .BTF.ext")?;
    let (offset, _) = section
        .file_range()
        .context(".BTF.ext is not in the file")?;
    let at = usize::try_from(offset)? + LINES;
    let length = object
        .get_mut(at..at + 4)
        .context(".BTF.ext is cut short")?;
    length.fill(0);
    Ok(())
}

const INT: usize = 1;
const PTR: usize = 2;
const ARRAY: usize = 3;
const STRUCT: usize = 4;
const UNION: usize = 5;
const ENUM: usize = 6;
/// With typedef and the qualifiers, up to [`FUNC`].
const FWD: usize = 7;
const FUNC: usize = 12;
const FUNC_PROTO: usize = 13;
const VAR: usize = 14;
const DATASEC: usize = 15;
const FLOAT: usize = 16;
const DECL_TAG: usize = 17;
const TYPE_TAG: usize = 18;
const ENUM64: usize = 19;

fn word(bytes: &[u8], at: usize) -> Result<usize> {
    let word = bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .context(".BTF is cut short")?;
    Ok(u32::from_le_bytes(*word) as usize)
}
