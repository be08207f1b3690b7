//! The compact binary form: little-endian integers, length-prefixed sequences, one byte for which
//! variant. Both ends are the same build, so there are no versions in it.
//!
//! Owns: [`Wire`] and the macros that implement it. Must not: know any message.

use alloc::ffi::CString;
use alloc::vec::Vec;

/// Bytes that are not what the type wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl core::fmt::Display for Malformed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("malformed message")
    }
}

impl core::error::Error for Malformed {}

/// What can be sent.
pub trait Wire: Sized {
    /// Appends the value.
    fn put(&self, out: &mut Vec<u8>);
    /// Takes a value from the front of `input`.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are no such value.
    fn take(input: &mut &[u8]) -> Result<Self, Malformed>;
}

/// The value's bytes.
pub fn encode<T: Wire>(value: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(4096);
    value.put(&mut out);
    out
}

/// The value in these bytes, all of them.
///
/// # Errors
/// [`Malformed`] when they are no such value, or more than one.
pub fn decode<T: Wire>(mut bytes: &[u8]) -> Result<T, Malformed> {
    let value = T::take(&mut bytes)?;
    if bytes.is_empty() { Ok(value) } else { Err(Malformed) }
}

fn split<'a>(input: &mut &'a [u8], len: usize) -> Result<&'a [u8], Malformed> {
    let (head, tail) = input.split_at_checked(len).ok_or(Malformed)?;
    *input = tail;
    Ok(head)
}

macro_rules! wire_int {
    ($($t:ty)*) => {$(
        impl Wire for $t {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            fn take(input: &mut &[u8]) -> Result<Self, Malformed> {
                let bytes = split(input, size_of::<$t>())?;
                Ok(<$t>::from_le_bytes(bytes.try_into().map_err(|_| Malformed)?))
            }
        }
    )*};
}
wire_int!(u8 u16 u32 u64 i32 i64);

impl Wire for bool {
    fn put(&self, out: &mut Vec<u8>) {
        u8::from(*self).put(out);
    }
    fn take(input: &mut &[u8]) -> Result<Self, Malformed> {
        Ok(u8::take(input)? != 0)
    }
}

impl Wire for CString {
    fn put(&self, out: &mut Vec<u8>) {
        let bytes = self.as_bytes();
        (bytes.len() as u32).put(out);
        out.extend_from_slice(bytes);
    }
    fn take(input: &mut &[u8]) -> Result<Self, Malformed> {
        let len = u32::take(input)? as usize;
        Self::new(split(input, len)?).map_err(|_| Malformed)
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u32).put(out);
        for item in self {
            item.put(out);
        }
    }
    fn take(input: &mut &[u8]) -> Result<Self, Malformed> {
        let len = u32::take(input)? as usize;
        // A false length must not reserve memory: an element takes at least one byte.
        let mut items = Self::with_capacity(len.min(input.len()));
        for _ in 0..len {
            items.push(T::take(input)?);
        }
        Ok(items)
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }
    fn take(input: &mut &[u8]) -> Result<Self, Malformed> {
        bool::take(input)?.then(|| T::take(input)).transpose()
    }
}

macro_rules! wire_tuple {
    ($($t:ident)*) => {
        impl<$($t: Wire),*> Wire for ($($t,)*) {
            #[allow(non_snake_case, reason = "the type parameters name the fields")]
            fn put(&self, out: &mut Vec<u8>) {
                let ($($t,)*) = self;
                $($t.put(out);)*
            }
            fn take(input: &mut &[u8]) -> Result<Self, Malformed> {
                Ok(($($t::take(input)?,)*))
            }
        }
    };
}
wire_tuple!(A B);
wire_tuple!(A B C);

/// Declares a struct and how it is sent: its fields in order.
macro_rules! wire_struct {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$fmeta:meta])* pub $field:ident: $ty:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name { $($(#[$fmeta])* pub $field: $ty,)* }

        impl $crate::wire::Wire for $name {
            fn put(&self, out: &mut alloc::vec::Vec<u8>) {
                $($crate::wire::Wire::put(&self.$field, out);)*
            }
            fn take(input: &mut &[u8]) -> Result<Self, $crate::wire::Malformed> {
                Ok(Self { $($field: $crate::wire::Wire::take(input)?,)* })
            }
        }
    };
}

/// Declares an enum and how it is sent: a byte, then the variant's fields in order.
macro_rules! wire_enum {
    ($(#[$meta:meta])* pub enum $name:ident {
        $($(#[$vmeta:meta])* $variant:ident $({ $($(#[$fmeta:meta])* $field:ident: $ty:ty,)* })? = $tag:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $name { $($(#[$vmeta])* $variant $({ $($(#[$fmeta])* $field: $ty,)* })?,)* }

        impl $crate::wire::Wire for $name {
            fn put(&self, out: &mut alloc::vec::Vec<u8>) {
                match self {
                    $(Self::$variant $({ $($field,)* })? => {
                        $crate::wire::Wire::put(&($tag as u8), out);
                        $($($crate::wire::Wire::put($field, out);)*)?
                    })*
                }
            }
            fn take(input: &mut &[u8]) -> Result<Self, $crate::wire::Malformed> {
                match <u8 as $crate::wire::Wire>::take(input)? {
                    $($tag => Ok(Self::$variant $({ $($field: $crate::wire::Wire::take(input)?,)* })?),)*
                    _ => Err($crate::wire::Malformed),
                }
            }
        }
    };
}
pub(crate) use {wire_enum, wire_struct};

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn values_come_back_as_they_went() {
        let value = (7u32, Some(CString::new("a").unwrap()), vec![(-1i32, 2u64)]);
        assert_eq!(decode::<(u32, Option<CString>, Vec<(i32, u64)>)>(&encode(&value)), Ok(value));
    }

    #[test]
    fn short_long_and_lying_input_is_refused() {
        let good = encode(&vec![1u32, 2]);
        assert_eq!(decode::<Vec<u32>>(&good[..good.len() - 1]), Err(Malformed));
        assert_eq!(decode::<Vec<u32>>(&[good.clone(), vec![0]].concat()), Err(Malformed));
        assert_eq!(decode::<Vec<u8>>(&u32::MAX.to_le_bytes()), Err(Malformed));
        assert_eq!(decode::<CString>(&[1, 0, 0, 0, 0]), Err(Malformed), "NUL inside a string");
    }
}
