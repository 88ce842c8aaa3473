//! Log macros: `defmt` with the feature of that name, otherwise nothing at all.
//!
//! Messages are constants and data are their arguments. No key material and no nonces.

#![allow(
    unused_macros,
    unused_imports,
    reason = "a level without a message yet is still a level"
)]

macro_rules! log_at {
    ($level:ident, $message:literal $(, $arg:expr)* $(,)?) => {{
        #[cfg(feature = "defmt")]
        ::defmt::$level!($message $(, $arg)*);
        // Keeps the arguments used, and type-checked, where nothing is logged.
        #[cfg(not(feature = "defmt"))]
        { let _ = ($(&$arg,)*); }
    }};
}

macro_rules! debug { ($($t:tt)*) => { crate::fmt::log_at!(debug, $($t)*) }; }
macro_rules! info { ($($t:tt)*) => { crate::fmt::log_at!(info, $($t)*) }; }
macro_rules! warning { ($($t:tt)*) => { crate::fmt::log_at!(warn, $($t)*) }; }
macro_rules! error { ($($t:tt)*) => { crate::fmt::log_at!(error, $($t)*) }; }

pub(crate) use {debug, error, info, log_at, warning};
