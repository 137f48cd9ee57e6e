//! The tools of an engine, by their names.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::erased::{ErasedTool, Of};
use super::{Tool, schema, uses};
use crate::error::{Error, Result};

/// The tools that this process can carry out.
#[derive(Clone, Default)]
pub(crate) struct Tools(HashMap<&'static str, Arc<dyn ErasedTool>>);

impl Tools {
    /// Fails for a name that no model can call it by, for one that is taken, and for arguments that are no struct.
    pub(crate) fn add<T: Tool>(&mut self) -> Result<()> {
        uses::check_name(T::NAME)?;
        if schema::of::<T>()["type"] != "object" {
            return Err(Error::Configuration(format!(
                "the arguments of the tool {:?} must be a struct with named fields; give the enum or tuple \
                 to a field of one",
                T::NAME
            )));
        }
        if self.0.insert(T::NAME, Arc::new(Of::<T>::new())).is_some() {
            return Err(Error::Configuration(format!(
                "two tools are called {:?}; each needs a `NAME` of its own",
                T::NAME
            )));
        }
        Ok(())
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.0.keys().copied().collect()
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Arc<dyn ErasedTool>> {
        self.0.get(name)
    }
}

impl fmt::Debug for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
