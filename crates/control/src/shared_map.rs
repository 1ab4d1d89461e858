//! A sorted map that shares with its copies all that they have in common: a change to one among very many costs the logarithm of
//! their number, whoever else holds the map. It has the methods of the map below it.

use rpds::RedBlackTreeMapSync;
use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
};

/// Things by name.
#[derive(Clone)]
pub struct SharedMap<T>(RedBlackTreeMapSync<String, Arc<T>>);

impl<T> Default for SharedMap<T> {
    fn default() -> Self {
        Self(RedBlackTreeMapSync::new_sync())
    }
}

impl<T> Deref for SharedMap<T> {
    type Target = RedBlackTreeMapSync<String, Arc<T>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T> DerefMut for SharedMap<T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

/// What is in it: the shape of the tree depends on how it came to be.
impl<T: fmt::Debug> fmt::Debug for SharedMap<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.0.iter()).finish()
    }
}
