//! The binary as people use it: arguments in, texts and exit codes out.

mod check;
mod demo;
mod process;
mod run;
mod usage;
