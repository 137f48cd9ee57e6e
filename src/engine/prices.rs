//! What the models of an engine cost.

use chrono::Utc;

use super::{AiEngine, EngineBuilder};
use crate::price::{ModelOption, PriceList};
use crate::store::database::Database;

impl<D: Database> EngineBuilder<D> {
    /// What calls cost; by default [`PriceList::built_in`]. A model is looked up behind the name of its provider in this engine first
    /// (`groq/llama-4` for the provider `groq`), as lists of many providers have it, and then by itself, whatever provider that is; where
    /// prices differ, [`provider_prices`](Self::provider_prices) tells them apart.
    ///
    /// Costs are counted when a call ends, by the prices of the engine that made it, so all processes that drive runs should have the
    /// same ones. What ended before does not change with them.
    #[must_use]
    pub fn prices(mut self, prices: PriceList) -> Self {
        self.options.prices.set_all(prices);
        self
    }

    /// What calls of the provider with this name cost, where another list than that of [`prices`](Self::prices) holds. Of a model that
    /// is not in it, what it costs is not known.
    ///
    /// ```
    /// use ai_engine::{AiEngine, OpenAi, Price, PriceList, SqliteDatabase};
    /// use chrono::NaiveDate;
    ///
    /// # fn main() -> ai_engine::Result<()> {
    /// # let (client, ours) = (OpenAi::builder().api_key("k").build()?, OpenAi::builder().base_url("http://127.0.0.1:1/v1").build()?);
    /// # let database = SqliteDatabase::open(":memory:")?;
    /// let today = NaiveDate::from_ymd_opt(2026, 12, 1).unwrap();
    /// let free = PriceList::builder("ours", today).model("llama-4", Price::per_million(0, 0)).build()?;
    /// let engine = AiEngine::builder(database)
    ///     .openai(client)
    ///     .provider("local", ours)
    ///     .provider_prices("local", free);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn provider_prices(mut self, name: impl Into<String>, prices: PriceList) -> Self {
        self.options.prices.set(name.into(), prices);
        self
    }
}

impl AiEngine {
    /// The models of this engine's [price list](EngineBuilder::prices) that are not shut down today, for users to choose from
    /// ([`PriceList::model_options`]).
    #[must_use]
    pub fn model_options(&self) -> Vec<ModelOption> {
        self.core.options().prices.all().model_options(Utc::now().date_naive())
    }
}
