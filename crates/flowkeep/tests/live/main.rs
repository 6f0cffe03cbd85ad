//! The commands of a live tracker, run as people run them, on hosts of their own.
#![cfg(target_os = "linux")]

mod lab;
mod life;
mod refused;
mod rules;
mod states;
mod watch;
