//! What calls cost: prices as they are listed, exact to the billionth of a dollar, and unknown rather than wrong. Nothing here knows
//! a database, a network or a clock.

mod billable;
mod built_in;
mod cost;
mod exact;
mod json;
mod list;
mod litellm;
mod models_dev;
mod name;
mod option;
mod prices;
mod rates;
mod row;
mod written;

#[cfg(test)]
mod cost_tests;
#[cfg(test)]
mod list_tests;
#[cfg(test)]
mod properties_tests;

pub use billable::{Billable, ServiceTier};
pub use cost::{Cost, Unpriced};
pub use list::{PriceList, PriceListBuilder, Skipped};
pub use option::ModelOption;
pub(crate) use prices::Prices;
pub use written::Price;
