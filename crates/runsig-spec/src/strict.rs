//! A deserialiser around another one that is as strict as Go's, and notices what is passed over.
//!
//! serde lets an array stand for a structure, field by field, so that `[]` would be a structure with nothing in
//! it; runc refuses it. And a key that no structure knows is shown to a [`Watch`], which may know it in another case.
//! It is in the way of every field of every bundle, so it copies no keys and costs nothing but calls.
//!
//! Owns: passing on. Must not: know any field.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, Expected, MapAccess, SeqAccess, Unexpected, Visitor,
};

/// What is done with a key that is passed over.
pub(crate) type Watch<'w> = &'w dyn Fn(&str);

/// Where a map's key is kept until its value is read.
type Slot<'de> = Cell<Option<Cow<'de, str>>>;

/// What goes down with every part of the file.
#[derive(Clone, Copy)]
struct Around<'a, 'de> {
    watch: Watch<'a>,
    /// The key of this part, when it is the value of a map.
    key: Option<&'a Slot<'de>>,
    /// Set when this part is a key itself.
    keep: Option<&'a Slot<'de>>,
    /// A structure is wanted, and no array will do.
    structure: bool,
}

/// A part of the file: a deserialiser, a visitor, a seed or the access to a list or map.
struct Strict<'a, 'de, T> {
    inner: T,
    around: Around<'a, 'de>,
}

/// Deserialises a value with `inner`; `watch` is shown the keys that are passed over.
pub(crate) fn deserialize<'de, D, T>(inner: D, watch: Watch<'_>) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: serde::Deserialize<'de>,
{
    let around = Around { watch, key: None, keep: None, structure: false };
    T::deserialize(Strict { inner, around })
}

impl<'a, 'de> Around<'a, 'de> {
    /// For a part that is neither key nor value of a map.
    fn plain(self) -> Self {
        Around { key: None, keep: None, structure: false, ..self }
    }

    fn with<T>(self, inner: T) -> Strict<'a, 'de, T> {
        Strict { inner, around: self }
    }
}

/// Methods that only hand a watching visitor on.
macro_rules! pass_on {
    ($($method:ident($($argument:ident: $kind:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $kind,)* visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method($($argument,)* self.around.with(visitor))
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<'_, 'de, D> {
    type Error = D::Error;

    pass_on! {
        deserialize_any();
        deserialize_bool();
        deserialize_u8(); deserialize_u16(); deserialize_u32(); deserialize_u64(); deserialize_u128();
        deserialize_i8(); deserialize_i16(); deserialize_i32(); deserialize_i64(); deserialize_i128();
        deserialize_f32(); deserialize_f64();
        deserialize_char(); deserialize_str(); deserialize_string(); deserialize_bytes(); deserialize_byte_buf();
        deserialize_option(); deserialize_unit(); deserialize_seq(); deserialize_map(); deserialize_identifier();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_tuple(length: usize);
        deserialize_tuple_struct(name: &'static str, length: usize);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let around = Around { structure: true, ..self.around };
        self.inner.deserialize_struct(name, fields, around.with(visitor))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        if let Some(key) = self.around.key.and_then(Cell::take) {
            (self.around.watch)(&key);
        }
        self.inner.deserialize_ignored_any(visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// Plain values, which a visitor gets as they are.
macro_rules! values {
    ($($method:ident($kind:ty);)*) => {$(
        fn $method<E: Error>(self, value: $kind) -> Result<V::Value, E> {
            self.inner.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Strict<'_, 'de, V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(formatter)
    }

    values! {
        visit_bool(bool);
        visit_i8(i8); visit_i16(i16); visit_i32(i32); visit_i64(i64); visit_i128(i128);
        visit_u8(u8); visit_u16(u16); visit_u32(u32); visit_u64(u64); visit_u128(u128);
        visit_f32(f32); visit_f64(f64);
        visit_char(char);
        visit_bytes(&[u8]); visit_borrowed_bytes(&'de [u8]); visit_byte_buf(Vec<u8>);
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<V::Value, E> {
        if let Some(slot) = self.around.keep {
            slot.set(Some(Cow::Owned(value.to_owned())));
        }
        self.inner.visit_str(value)
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<V::Value, E> {
        if let Some(slot) = self.around.keep {
            slot.set(Some(Cow::Borrowed(value)));
        }
        self.inner.visit_borrowed_str(value)
    }

    fn visit_string<E: Error>(self, value: String) -> Result<V::Value, E> {
        if let Some(slot) = self.around.keep {
            slot.set(Some(Cow::Owned(value.clone())));
        }
        self.inner.visit_string(value)
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(self.around.with(deserializer))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.inner.visit_newtype_struct(self.around.with(deserializer))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<V::Value, A::Error> {
        if self.around.structure {
            return Err(A::Error::invalid_type(Unexpected::Seq, &self as &dyn Expected));
        }
        self.inner.visit_seq(self.around.plain().with(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        let key = Slot::default();
        let around = Around { key: Some(&key), ..self.around.plain() };
        // The slot lives as long as this call: the parts of the map get it for that long.
        self.inner.visit_map(Strict { inner: map, around })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(data)
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Strict<'_, 'de, A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        self.inner.next_element_seed(self.around.with(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Strict<'_, 'de, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let around = Around { keep: self.around.key, ..self.around.plain() };
        self.inner.next_key_seed(around.with(seed))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.inner.next_value_seed(self.around.with(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Strict<'_, 'de, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(self.around.with(deserializer))
    }
}
