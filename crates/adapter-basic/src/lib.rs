//! adapter-basic
