//! SCTP packets of one chunk (RFC 9260).

use super::{push16, push32, set16};
use crate::script::Chunk;

/// Replaces `out` by a packet. `tag` is the receiver's verification tag, 0 before it is known;
/// `own_tag` is what an INIT announces; `tsn` is the transmission sequence number of the data, or
/// what a SACK or SHUTDOWN acknowledges. `data` is what a data chunk carries.
pub(crate) fn write(
    out: &mut Vec<u8>,
    (source, destination): (u16, u16),
    tag: u32,
    own_tag: u32,
    tsn: u32,
    chunk: Chunk,
    data: &[u8],
) {
    const COOKIE: [u8; 32] = [0x5c; 32];
    out.clear();
    push16(out, source);
    push16(out, destination);
    push32(out, tag);
    push32(out, 0);
    let begin = out.len();
    let (chunk_type, flags) = match chunk {
        Chunk::Data(_) => (0, 3), // first and last part of a message
        Chunk::Init => (1, 0),
        Chunk::InitAck => (2, 0),
        Chunk::Sack => (3, 0),
        Chunk::Shutdown => (7, 0),
        Chunk::ShutdownAck => (8, 0),
        Chunk::CookieEcho => (10, 0),
        Chunk::CookieAck => (11, 0),
        Chunk::ShutdownComplete => (14, 0),
    };
    out.extend_from_slice(&[chunk_type, flags, 0, 0]);
    match chunk {
        Chunk::Init | Chunk::InitAck => {
            push32(out, own_tag);
            push32(out, 0x0001_0000); // window
            push16(out, 8); // streams out
            push16(out, 8); // streams in
            push32(out, tsn);
            if chunk == Chunk::InitAck {
                push16(out, 7); // state cookie
                push16(out, 4 + COOKIE.len() as u16);
                out.extend_from_slice(&COOKIE);
            }
        }
        Chunk::CookieEcho => out.extend_from_slice(&COOKIE),
        Chunk::Data(_) => {
            push32(out, tsn);
            push32(out, 0); // stream and its sequence number
            push32(out, 0); // payload protocol
            out.extend_from_slice(data);
        }
        Chunk::Sack => {
            push32(out, tsn);
            push32(out, 0x0001_0000);
            push32(out, 0); // no gaps, no duplicates
        }
        Chunk::Shutdown => push32(out, tsn),
        Chunk::CookieAck | Chunk::ShutdownAck | Chunk::ShutdownComplete => {}
    }
    let length = (out.len() - begin) as u16;
    set16(out, begin + 2, length);
    // Chunks are padded to whole words; the length leaves the padding out.
    out.resize(out.len().next_multiple_of(4), 0);
    // The one checksum that goes in low byte first (RFC 9260, appendix A).
    let sum = crc32c::crc32c(out);
    out[8..12].copy_from_slice(&sum.to_le_bytes());
}
