//! adapter-soap
