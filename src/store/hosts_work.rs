//! What a host does itself on the engine's connections: `transaction` and `read`, written once for both databases.

/// The two methods of a database. What is special to it is said between what both have in common.
macro_rules! hosts_work {
    (
        $database:ty, $conn:ident($connection:ty), named $name:literal;
        transaction { $(#[$transaction:meta])* } { $(#[$isolation:meta])* }
        read { $(#[$read:meta])* }
    ) => {
        hosts_work! {
            @verb $database, $conn($connection), $name, HostWrite;
            $(#[$transaction])*
            ///
            $(#[$isolation])*
            ///
            /// The error is of your own type: any that is `From<ai_engine::Error>`. Awaiting the engine inside, by `block_on`, is
            /// [`Error::WithinTransaction`]: use the methods with the suffix `_in`.
            ///
            /// # Cancellation
            ///
            /// Work that has begun goes on to its commit or rollback when the future is dropped; work that waits for a
            /// connection is not begun.
            ///
            /// # Errors
            ///
            /// Whatever `work` returns; [`Error::Connection`], [`Error::Database`] when the commit fails, or
            /// [`Error::Panicked`], as your type.
            transaction
        }
        hosts_work! {
            @verb $database, $conn($connection), $name, HostRead;
            $(#[$read])*
            ///
            /// # Cancellation
            ///
            /// It only reads: dropping the future changes nothing.
            ///
            /// # Errors
            ///
            /// As [`transaction`](Self::transaction).
            read
        }
    };
    (
        @verb $database:ty, $conn:ident($connection:ty), $name:literal, $access:ident;
        $(#[$meta:meta])* $verb:ident
    ) => {
        impl $database {
            $(#[$meta])*
            pub async fn $verb<T, E>(
                &self,
                work: impl FnOnce(&mut $connection) -> Result<T, E> + Send + 'static,
            ) -> Result<T, E>
            where
                T: Send + 'static,
                E: From<Error> + Send + 'static,
            {
                let work = move |session: &mut dyn Session| match session.conn() {
                    Conn::$conn(conn) => work(conn),
                    #[allow(unreachable_patterns, reason = "where it is the only database")]
                    _ => Err(Error::Connection(concat!("not a ", $name, " connection").to_owned()).into()),
                };
                host_work(self, Access::$access, work).await
            }
        }
    };
}
pub(super) use hosts_work;
