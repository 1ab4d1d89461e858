//! What the doors of AWS's protocols share. It knows no operation and no service.

pub mod sigv4;
