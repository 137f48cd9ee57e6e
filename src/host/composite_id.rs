use std::fmt::{self, Display};
use std::str::FromStr;

use crate::error::Error;

/// A key of two to six fields, as a tuple of them. [`record!`](crate::record!) makes it the `Id` of a record with such a key.
///
/// It is stored as a JSON array with the text of each part, such as `["3","4"]`. So it reads back as exactly these parts, whatever
/// characters are in them.
///
/// ```
/// # use ai_engine::CompositeId;
/// let id = CompositeId((3, "a, \"b\"".to_owned()));
/// assert_eq!(id.to_string(), r#"["3","a, \"b\""]"#);
/// assert_eq!(id.to_string().parse::<CompositeId<(i32, String)>>()?, id);
/// # Ok::<(), ai_engine::Error>(())
/// ```
///
/// The loader of an owner is given it as any other id:
///
/// ```
/// # use ai_engine::{AiEngine, CompositeId, SqliteDatabase, prelude::*};
/// # struct Member { team: i32, user: i32 }
/// # ai_engine::record! { Member { team: i32, user: i32 } as "Member" }
/// # impl MessageHooks for Member {}
/// # fn built() -> ai_engine::Result<AiEngine> {
/// AiEngine::builder(SqliteDatabase::in_memory()?)
///     .owner::<Member>(|_conn, CompositeId((team, user))| Ok(Some(Member { team, user })))
///     .build()
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(clippy::exhaustive_structs, reason = "its parts are the whole of it")]
pub struct CompositeId<Parts>(pub Parts);

macro_rules! composite {
    ($($count:literal: $($part:ident $at:tt)+;)+) => { $(
        impl<$($part: Display),+> Display for CompositeId<($($part,)+)> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let parts: [String; $count] = [$(self.0.$at.to_string()),+];
                f.write_str(&serde_json::to_string(&parts).map_err(|_| fmt::Error)?)
            }
        }

        impl<$($part: FromStr),+> FromStr for CompositeId<($($part,)+)> {
            type Err = Error;

            /// # Errors
            ///
            /// [`Error::Invalid`] when it is no such array, or one of its parts cannot be read.
            fn from_str(text: &str) -> Result<Self, Error> {
                let no_key = |what: &str| {
                    Error::invalid("record id", text, format!("is not a key of {} parts: {what}", $count))
                };
                let parts: [String; $count] =
                    serde_json::from_str(text).map_err(|error| no_key(&error.to_string()))?;
                Ok(Self(($(
                    parts[$at].parse::<$part>().map_err(|_| {
                        no_key(&format!("its part {} cannot be read", $at + 1))
                    })?,
                )+)))
            }
        }
    )+ };
}

composite! {
    2: A 0 B 1;
    3: A 0 B 1 C 2;
    4: A 0 B 1 C 2 D 3;
    5: A 0 B 1 C 2 D 3 E 4;
    6: A 0 B 1 C 2 D 3 E 4 F 5;
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pair = CompositeId<(String, String)>;

    #[test]
    fn a_composite_id_reads_back_as_its_parts_whatever_is_in_them() {
        let odd = ["", ",", "\",\"", "[\"1\",\"2\"]", "\\", "\u{0}", "1/2", "ü\n"];
        for (first, second) in odd.iter().flat_map(|one| odd.iter().map(move |other| (one, other)))
        {
            let id = CompositeId((first.to_string(), second.to_string()));
            assert_eq!(id.to_string().parse::<Pair>().unwrap(), id);
        }
        assert_ne!(
            CompositeId(("1", "2,3")).to_string(),
            CompositeId(("1,2", "3")).to_string(),
            "two keys must not share a text"
        );
    }

    #[test]
    fn what_is_no_composite_id_is_refused_and_says_why() {
        for text in ["", "1", "[1,2]", r#"["1"]"#, r#"["1","2","3"]"#] {
            let refused = text.parse::<CompositeId<(i32, i32)>>().unwrap_err().to_string();
            assert!(refused.contains("is not a key of 2 parts"), "{refused}");
        }
        let refused = r#"["1","x"]"#.parse::<CompositeId<(i32, i32)>>().unwrap_err().to_string();
        assert!(refused.contains("its part 2 cannot be read"), "{refused}");
    }
}
