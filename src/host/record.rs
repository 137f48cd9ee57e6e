/// A row of the host: what assistants, threads and chats belong to.
///
/// The short form for a type whose key is a field, or several, is [`record!`](crate::record!). Ids are stored as text, so
/// integers, UUIDs and text all serve.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no record: ai-engine knows neither its name nor its key",
    note = "say both: `ai_engine::record! {{ {Self} {{ id: i64 }} as \"{Self}\" }}`, with your key's field and type"
)]
pub trait Record: Send + Sync + 'static {
    /// Name of the type, stored in every row that belongs to it. Never change it once there are rows.
    const TYPE: &'static str;
    /// Type of the key.
    type Id: std::fmt::Display + std::str::FromStr + Send + 'static;

    /// The key of this row.
    fn record_id(&self) -> Self::Id;
}

/// Implements [`Record`] for types whose key is a field, or several.
///
/// ```
/// use ai_engine::{CompositeId, Record};
///
/// struct User { id: i32 }
/// struct Storyteller { slug: String }
/// struct Team(i32);
/// struct Member { team: i32, user: i32 }
///
/// ai_engine::record! {
///     User { id: i32 } as "User",
///     Storyteller { slug: String } as "Storyteller",
///     Team(i32) as "Team",
///     Member { team: i32, user: i32 } as "Member",
/// }
///
/// assert_eq!(Member { team: 3, user: 4 }.record_id(), CompositeId((3, 4)));
/// ```
///
/// The name is stored in every row that belongs to such a record, so it stays what it is when the type is renamed. A key of
/// several fields is a [`CompositeId`](crate::CompositeId). A tuple struct with further fields says which one is the key:
/// `Team { 0: i32 } as "Team"`.
#[macro_export]
macro_rules! record {
    () => {};
    ($type:ident($id:ty $(,)?) as $name:literal $(, $($rest:tt)*)?) => {
        $crate::record! { @one $type, $name, $id, 0 }
        $crate::record! { $($($rest)*)? }
    };
    ($type:ident($first:ty, $second:ty $(,)?) as $name:literal $(, $($rest:tt)*)?) => {
        $crate::record! { @several $type, $name, 0: $first, 1: $second }
        $crate::record! { $($($rest)*)? }
    };
    ($type:ident($first:ty, $second:ty, $third:ty $(,)?) as $name:literal $(, $($rest:tt)*)?) => {
        $crate::record! { @several $type, $name, 0: $first, 1: $second, 2: $third }
        $crate::record! { $($($rest)*)? }
    };
    ($type:ty { $field:tt: $id:ty $(,)? } as $name:literal $(, $($rest:tt)*)?) => {
        $crate::record! { @one $type, $name, $id, $field }
        $crate::record! { $($($rest)*)? }
    };
    ($type:ty { $($field:tt: $id:ty),+ $(,)? } as $name:literal $(, $($rest:tt)*)?) => {
        $crate::record! { @several $type, $name, $($field: $id),+ }
        $crate::record! { $($($rest)*)? }
    };
    ($type:ident $key:tt $(, $($rest:tt)*)?) => {
        ::core::compile_error!(::core::concat!(
            "a record needs a name, which is stored in every row that belongs to it: `",
            ::core::stringify!($type $key), " as \"", ::core::stringify!($type), "\"`"
        ));
    };
    (@one $type:ty, $name:literal, $id:ty, $field:tt) => {
        impl $crate::Record for $type {
            const TYPE: &'static str = $name;
            type Id = $id;

            fn record_id(&self) -> $id {
                ::core::clone::Clone::clone(&self.$field)
            }
        }
    };
    (@several $type:ty, $name:literal, $($field:tt: $id:ty),+) => {
        impl $crate::Record for $type {
            const TYPE: &'static str = $name;
            type Id = $crate::CompositeId<($($id,)+)>;

            fn record_id(&self) -> Self::Id {
                $crate::CompositeId(($(::core::clone::Clone::clone(&self.$field),)+))
            }
        }
    };
}

/// A record by its type and id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) kind: String,
    pub(crate) id: String,
}

impl Owner {
    pub(crate) fn of<R: Record>(record: &R) -> Self {
        Self { kind: R::TYPE.to_owned(), id: record.record_id().to_string() }
    }
}
