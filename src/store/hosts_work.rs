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
            /// The error is yours: any type that ours and Diesel's turn into. Awaiting the engine inside, by `block_on`, is
            /// [`Error::WithinTransaction`]: use the methods with the suffix `_in`.
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
            /// # Errors
            ///
            /// As there.
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
