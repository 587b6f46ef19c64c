//! Values that belong to one session: its user, its state.

use std::any::Any;

/// Values by type, the last one first.
///
/// A session has none or a few, and thousands of sessions lie idle: a list of one allocation per
/// value, and two words where it is empty.
#[derive(Default)]
pub(crate) struct SessionData {
    last: Link,
}

type Link = Option<Box<Entry<dyn Any + Send>>>;

struct Entry<T: ?Sized> {
    before: Link,
    value: T,
}

impl SessionData {
    pub(crate) fn push(&mut self, value: impl Any + Send) {
        let before = self.last.take();
        self.last = Some(Box::new(Entry { before, value }));
    }

    pub(crate) fn get<T: Any>(&self) -> Option<&T> {
        let mut link = &self.last;
        while let Some(entry) = link {
            if let Some(value) = (&entry.value as &dyn Any).downcast_ref() {
                return Some(value);
            }
            link = &entry.before;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_type_and_the_last_of_a_type_wins() {
        let mut data = SessionData::default();
        assert_eq!(data.get::<u32>(), None);
        data.push(1_u32);
        data.push("ann".to_owned());
        data.push(2_u32);
        assert_eq!(data.get::<u32>(), Some(&2));
        assert_eq!(data.get::<String>().map(String::as_str), Some("ann"));
        assert_eq!(data.get::<u64>(), None);
    }
}
