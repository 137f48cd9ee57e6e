/// A row of the host: what assistants, threads and chats belong to.
///
/// The short form for a type whose key is a field is [`record!`](crate::record!). Ids are stored as text, so
/// integers, UUIDs and text all serve.
pub trait Record: Send + Sync + 'static {
    /// Name of the type, stored in every row that belongs to it. Never change it once there are rows.
    const TYPE: &'static str;
    /// Type of the key.
    type Id: std::fmt::Display + std::str::FromStr + Send + 'static;

    /// The key of this row.
    fn record_id(&self) -> Self::Id;
}

/// Implements [`Record`] for types whose key is a field.
///
/// ```
/// struct User { id: i32 }
/// struct Storyteller { slug: String }
///
/// ai_engine::record! {
///     User { id: i32 } as "User",
///     Storyteller { slug: String } as "Storyteller",
/// }
/// ```
#[macro_export]
macro_rules! record {
    ($($type:ty { $field:ident: $id:ty } as $name:literal),+ $(,)?) => {
        $(
            impl $crate::Record for $type {
                const TYPE: &'static str = $name;
                type Id = $id;

                fn record_id(&self) -> $id {
                    ::core::clone::Clone::clone(&self.$field)
                }
            }
        )+
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
