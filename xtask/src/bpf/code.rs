//! LLVM's intermediate code, made fit for the kernel's verifier.

/// Replaces undefined values where ways through a function meet by zeros.
///
/// To the compiler, the payload of a `None` is any value, so it takes whatever a register holds.
/// The verifier refuses to see a register copied that nobody has written.
pub(super) fn without_undefined(code: &str) -> String {
    let mut defined = String::with_capacity(code.len());
    for line in code.lines() {
        match line.split_once(" = phi ") {
            Some((_, phi)) => {
                let zero = zero(phi);
                let line = line.replace("[ undef,", &format!("[ {zero},"));
                defined.push_str(&line.replace("[ poison,", &format!("[ {zero},")));
            }
            None => defined.push_str(line),
        }
        defined.push('\n');
    }
    defined
}

/// The zero of the type that a phi begins with.
fn zero(phi: &str) -> &'static str {
    match phi.split(' ').next() {
        Some("ptr") => "null",
        Some("i1") => "false",
        Some(integer) if integer.starts_with('i') => "0",
        _ => "zeroinitializer",
    }
}

#[cfg(test)]
mod tests {
    use super::without_undefined;

    #[test]
    fn undefined_values_become_zeros_of_their_type() {
        let code = "%1 = phi i64 [ undef, %a ], [ %x, %b ]\n%2 = phi ptr [ poison, %a ]\n\
                    %3 = phi { i64, i64 } [ undef, %a ]\n%4 = add i64 undef, 1\n";
        let wanted = "%1 = phi i64 [ 0, %a ], [ %x, %b ]\n%2 = phi ptr [ null, %a ]\n\
                      %3 = phi { i64, i64 } [ zeroinitializer, %a ]\n%4 = add i64 undef, 1\n";
        assert_eq!(without_undefined(code), wanted);
    }
}
