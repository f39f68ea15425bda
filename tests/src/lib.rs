//! What takes two processes to show.
