//! Items in what a server says.

use serde_json::Value;

use super::lenient::Object;
pub(super) use crate::item::Item;

/// Moves the objects out of a list of items.
pub(super) fn take_items(object: &mut Object, key: &str) -> Vec<Item> {
    match object.remove(key) {
        Some(Value::Array(items)) => {
            items.into_iter().filter(Value::is_object).map(Item::from).collect()
        }
        _ => Vec::new(),
    }
}
