//! How the lists of functions are written.

/// Functions, each by its path and its generic arguments.
macro_rules! functions {
    ($prover:ident; $($function:expr),* $(,)?) => {
        $({
            let function = $function;
            $prover.function(&function, function as *const ());
        })*
    };
}

/// Methods of types, without generic arguments of their own.
macro_rules! methods {
    ($prover:ident; $($type:ty: $($method:ident)*;)*) => {
        $($($crate::macros::functions! { $prover; <$type>::$method })*)*
    };
}

/// Traits that nearly every type has, derived or written.
macro_rules! derived {
    ($prover:ident; $($type:ty: $($trait:ident)*;)*) => {
        $($($crate::macros::derived! { @ $trait $prover $type })*)*
    };
    (@ Clone $prover:ident $type:ty) => { $crate::macros::functions! { $prover; <$type as Clone>::clone } };
    (@ Debug $prover:ident $type:ty) => {{
        let function = <$type as core::fmt::Debug>::fmt;
        $prover.debug(&function, function as *const ());
    }};
    (@ Default $prover:ident $type:ty) => { $crate::macros::functions! { $prover; <$type as Default>::default } };
    (@ Display $prover:ident $type:ty) => { $crate::macros::functions! { $prover; <$type as core::fmt::Display>::fmt } };
    (@ Hash $prover:ident $type:ty) => {
        $crate::macros::functions! { $prover; <$type as core::hash::Hash>::hash::<$crate::wire::Wire> }
    };
    (@ Ord $prover:ident $type:ty) => { $crate::macros::functions! { $prover; <$type as Ord>::cmp } };
    (@ PartialEq $prover:ident $type:ty) => { $crate::macros::functions! { $prover; <$type as PartialEq>::eq } };
    (@ PartialOrd $prover:ident $type:ty) => {
        $crate::macros::functions! { $prover; <$type as PartialOrd>::partial_cmp }
    };
    (@ Serialize $prover:ident $type:ty) => {
        $crate::macros::functions! { $prover;
            <$type as serde::Serialize>::serialize::<&mut postcard::Serializer<postcard::ser_flavors::Slice<'_>>>
        }
    };
    (@ Deserialize $prover:ident $type:ty) => {
        $crate::macros::functions! { $prover;
            <$type as serde::Deserialize<'_>>::deserialize::<
                &mut postcard::Deserializer<'_, postcard::de_flavors::Slice<'_>>,
            >
        }
    };
}

/// Types with a `Drop` of their own.
macro_rules! dropped {
    ($prover:ident; $($type:ty;)*) => {
        $($prover.dropped::<$type>(core::ptr::drop_in_place::<$type> as *const ());)*
    };
}

/// Functions that return iterators, each with what it is called on.
macro_rules! walks {
    ($prover:ident; $($function:expr, $of:ty;)*) => {
        $({
            fn walk(of: $of) {
                for one in $function(of) {
                    core::hint::black_box(one);
                }
            }
            $prover.walked(&$function, walk as *const ());
        })*
    };
}

pub(crate) use {derived, dropped, functions, methods, walks};
