//! The outcome of a run.

/// How a run went, for whoever started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All that was asked for was done.
    Success,
    /// Something failed, and a line says what.
    Failure,
}
