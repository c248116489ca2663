//! Futures in boxes.

use std::pin::Pin;

/// A future in a box that is there before it: made where it stays, its kilobytes are not copied, which `Box::pin` does.
pub fn boxed<F>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    Box::into_pin(Box::write(Box::new_uninit(), make()))
}
