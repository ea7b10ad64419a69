//! The code interpreter: runs cells in Jupyter kernels and streams their results as JSON lines.
//!
//! * [`routes`] is the HTTP surface,
//! * [`contexts`] knows the contexts that clients can name,
//! * [`kernel`] owns one kernel process, speaking [`zmtp`] and [`message`],
//! * [`execution`] drives one cell, [`progress`], [`mod@line`], [`mime`], [`lossy`] and [`mod@env`] are its pure parts.

mod contexts;
mod env;
mod execution;
mod kernel;
mod language;
mod launch;
mod line;
mod lossy;
mod message;
mod mime;
mod progress;
mod routes;
mod zmtp;

pub use contexts::Interpreter;
pub use routes::router;
