//! adapter-jwt
