//! Short texts that come again and again: names, kinds, values of labels. Equal ones that come close after each other are in
//! memory once.

use std::cell::RefCell;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

/// So many of them are remembered on each thread, in 80 KiB at most.
const PLACES: usize = 1024;
/// Longer ones seldom come again.
const LONGEST: usize = 64;

thread_local! {
    /// Each text has one place; a later one that has the same place takes it.
    static LAST: RefCell<Vec<Option<Arc<str>>>> = RefCell::new(vec![None; PLACES]);
}

/// The text; in the memory of an equal one, where that came shortly before on this thread. No secret: it is remembered.
pub fn shared(text: &str) -> Arc<str> {
    if text.len() > LONGEST {
        return text.into();
    }
    let place = BuildHasherDefault::<DefaultHasher>::default().hash_one(text) as usize % PLACES;
    LAST.with_borrow_mut(|last| match &last[place] {
        Some(known) if **known == *text => known.clone(),
        _ => last[place].insert(text.into()).clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_in_memory_once_and_none_is_taken_for_another() {
        assert_eq!(&*shared(""), "");
        assert!(Arc::ptr_eq(&shared("web"), &shared("web")));
        // More than there are places: some take the place of others.
        for i in 0..3 * PLACES {
            let text = format!("app-{i}");
            assert_eq!(*shared(&text), *text);
        }
        assert_eq!(&*shared("web"), "web");
        let long = "x".repeat(LONGEST + 1);
        assert!(!Arc::ptr_eq(&shared(&long), &shared(&long)));
    }
}
