//! Looks and lists that pass, against a model of the upstream.

mod model;
mod nobody;
mod observed;
mod shapes;
