//! A part of the state that most steps leave as it is.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Shared by all states in which it is the same, and hashed once: states are many, and each differs
/// from the one before it in little.
#[derive(Clone, Debug)]
pub(crate) struct Part<T> {
    value: Arc<T>,
    /// Of the value; `None` while it is being changed.
    hash: Option<u64>,
}

impl<T: Clone + Hash> Part<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            value: Arc::new(value),
            hash: None,
        }
    }

    /// Gives a state a value of its own, to be changed.
    pub(crate) fn change(&mut self) -> &mut T {
        self.hash = None;
        Arc::make_mut(&mut self.value)
    }

    /// Hashes it, once it is as it will stay.
    pub(crate) fn seal(&mut self) {
        if self.hash.is_none() {
            self.hash = Some(hashed(&*self.value));
        }
    }
}

fn hashed(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl<T> std::ops::Deref for Part<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Hash> Hash for Part<T> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let hash = self.hash.unwrap_or_else(|| hashed(&*self.value));
        hash.hash(hasher);
    }
}

impl<T: PartialEq> PartialEq for Part<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.value, &other.value) || self.value == other.value
    }
}

impl<T: Eq> Eq for Part<T> {}
