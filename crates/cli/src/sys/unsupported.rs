//! Where it cannot be asked whether anybody reads.

/// Nobody can tell; the next write will.
pub(crate) fn is_reader_gone() -> bool {
    false
}
