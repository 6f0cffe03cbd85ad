//! What a developer of Flowkeep does often: `cargo xtask --help`.

fn main() {}
