//! The objects of a list, taken out of its text one by one while it comes: a list is never in memory whole. What an object is made of
//! is not looked at: whoever decodes it says what is wrong with it.

use serde::Deserialize;
use serde_json::Value;

/// Takes the text of a list apart, part by part.
#[derive(Default)]
pub(crate) struct Items {
    /// Everything around the objects: `{"kind":…,"metadata":{…},"items":[]}`.
    around: Vec<u8>,
    /// The object that has begun in an earlier part.
    begun: Vec<u8>,
    /// How many objects and lists are open.
    depth: usize,
    within: Within,
    /// Where in `around` the last name at the top has begun.
    name: usize,
    list: List,
    last: Last,
}

#[derive(Default, PartialEq)]
enum Within {
    #[default]
    Nothing,
    Text,
    /// After a backslash in a text.
    Escape,
}

/// Whether we are in the list of objects.
#[derive(Default, PartialEq)]
enum List {
    #[default]
    Outside,
    /// After its name: the list comes next.
    Named,
    Inside,
}

/// What came last in the list of objects.
#[derive(Default, PartialEq)]
enum Last {
    #[default]
    Nothing,
    Object,
    Comma,
}

/// The depth of what is directly in the list: that of the whole, and of the list.
const DIRECTLY: usize = 2;

/// What a list says of itself.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Meta {
    /// What to ask for the rest with; empty where there is none.
    pub(crate) r#continue: String,
}

#[derive(Deserialize)]
struct Around {
    /// Every list has it: what has none is something else, such as a proxy's own answer.
    metadata: Meta,
    // None is left of what was taken out. An empty list may be `null`.
    #[serde(default, rename = "items")]
    _left: Option<[Value; 0]>,
}

impl Items {
    /// Takes the next part of the text, and gives each object that ends in it to `each`.
    pub(crate) fn feed<E>(&mut self, part: &[u8], mut each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        // Where the text begins that is not put anywhere yet.
        let mut from = 0;
        for (at, byte) in part.iter().enumerate() {
            match (&self.within, byte) {
                (Within::Escape, _) => self.within = Within::Text,
                (Within::Text, b'\\') => self.within = Within::Escape,
                (Within::Text, b'"') => self.within = Within::Nothing,
                (Within::Text, _) => {}
                (Within::Nothing, b'"') => {
                    self.within = Within::Text;
                    if self.depth == 1 {
                        self.name = self.around.len() + at - from;
                    }
                }
                (Within::Nothing, b':') if self.depth == 1 => {
                    self.around.extend_from_slice(&part[from..at]);
                    from = at;
                    let name = self.around.get(self.name..).unwrap_or_default().trim_ascii_end();
                    self.list = if name == br#""items""# { List::Named } else { List::Outside };
                }
                (Within::Nothing, b'{' | b'[') => {
                    self.depth += 1;
                    if self.list == List::Inside && self.depth == DIRECTLY + 1 {
                        self.around.extend_from_slice(&part[from..at]);
                        from = at;
                        self.refuse_if(self.last == Last::Object);
                    } else if self.list == List::Named && self.depth == DIRECTLY && *byte == b'[' {
                        self.list = List::Inside;
                        self.around.extend_from_slice(&part[from..=at]);
                        from = at + 1;
                    }
                }
                (Within::Nothing, b'}' | b']') => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.list == List::Inside && self.depth == DIRECTLY {
                        self.end(&part[from..=at], &mut each)?;
                        from = at + 1;
                        self.last = Last::Object;
                    } else if self.list == List::Inside && self.depth < DIRECTLY {
                        self.refuse_if(self.last == Last::Comma);
                        self.list = List::Outside;
                    }
                }
                // Between two objects. What is none stays in what is around, where it is no list.
                (Within::Nothing, b',') if self.list == List::Inside && self.depth == DIRECTLY => {
                    self.around.extend_from_slice(&part[from..at]);
                    from = at + 1;
                    self.refuse_if(self.last != Last::Object);
                    self.last = Last::Comma;
                }
                (Within::Nothing, _) => {}
            }
        }
        let is_in_object = self.list == List::Inside && self.depth > DIRECTLY;
        if is_in_object { &mut self.begun } else { &mut self.around }.extend_from_slice(&part[from..]);
        Ok(())
    }

    /// Makes what is around no list, where the commas are not as they must be.
    fn refuse_if(&mut self, wrong: bool) {
        if wrong {
            self.around.push(b',');
        }
    }

    fn end<E>(&mut self, rest: &[u8], each: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        if self.begun.is_empty() {
            return each(rest);
        }
        self.begun.extend_from_slice(rest);
        let ended = each(&self.begun);
        self.begun.clear();
        ended
    }

    /// What the list says of itself. To be called at the end of the text.
    ///
    /// # Errors
    /// Where the text was no list, or not all of it.
    pub(crate) fn finish(self) -> serde_json::Result<Meta> {
        // As a struct, serde would read a list's members in their order.
        let around: serde_json::Map<String, Value> = serde_json::from_slice(&self.around)?;
        Around::deserialize(around).map(|around| around.metadata)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// What is taken out of a text that comes in parts of so many bytes.
    fn taken(text: &str, size: usize) -> serde_json::Result<(Vec<Value>, String)> {
        let (mut items, mut out) = (Items::default(), Vec::new());
        for part in text.as_bytes().chunks(size) {
            items.feed(part, |item| serde_json::from_slice(item).map(|item| out.push(item)))?;
        }
        Ok((out, items.finish()?.r#continue))
    }

    #[test]
    fn an_empty_list_has_nothing_in_it() {
        for text in [r#"{"items":[],"metadata":{}}"#, r#"{"metadata":{},"items":null}"#, r#"{"metadata":{},"items":[ ]}"#] {
            for size in [1, 2, 100] {
                assert_eq!(taken(text, size).unwrap(), (vec![], String::new()), "{text}");
            }
        }
    }

    #[test]
    fn what_has_no_end_is_no_list() {
        let whole = r#"{"metadata":{"continue":"x"},"items":[{"a":1},{"b":{"items":[2]}}]}"#;
        assert_eq!(taken(whole, 7).unwrap(), (vec![json!({ "a": 1 }), json!({ "b": { "items": [2] } })], "x".to_owned()));
        for end in 0..whole.len() {
            assert!(taken(&whole[..end], 7).is_err(), "{}", &whole[..end]);
        }
    }

    #[test]
    fn only_the_objects_of_the_list_itself_are_taken() {
        let text = r#"{"kind":"items","a":[{"x":1}],"metadata":{"items":[{"y":1}],"continue":"n"} , "items" : [ {"z":"]}\""} ] }"#;
        for size in 1..text.len() {
            assert_eq!(taken(text, size).unwrap(), (vec![json!({ "z": "]}\"" })], "n".to_owned()));
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for items in [
            "1",
            r#"1,{"a":1}"#,
            r#"2 {"a":1}"#,
            r#"{"a":1} 2"#,
            r#"{"a":1},"x""#,
            r#"{"a" 1}"#,
            "null",
            r#"{}{}"#,
            r#"{},"#,
            r#",{}"#,
            r#"{},,{}"#,
        ] {
            let text = format!(r#"{{"metadata":{{}},"items":[{items}]}}"#);
            assert!(taken(&text, 3).is_err(), "{text}");
        }
        for text in ["x", "[]", "[{}]", r#"[{},[]]"#, "{}", r#"{"items":[]}"#, ""] {
            assert!(taken(text, 3).is_err(), "{text}");
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let text = prop_oneof![r#"[a-z{}\[\]",:\\ ]{0,6}"#, Just("items".to_owned())];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            text.clone().prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 16, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((text.clone(), inner), 0..4).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_taken_is_what_was_in_the_list(
            items in prop::collection::vec(prop::collection::vec(("[a-z]{1,3}", value()), 0..4), 0..4),
            before in value(), next in "[a-z]{0,3}", pretty: bool, size in 1usize..40,
        ) {
            let items: Vec<Value> = items.into_iter().map(|pairs| Value::Object(pairs.into_iter().collect())).collect();
            let list = json!({ "before": before, "metadata": { "continue": next }, "items": items, "after": before });
            let text = if pretty { serde_json::to_string_pretty(&list) } else { serde_json::to_string(&list) }.unwrap();
            prop_assert_eq!(taken(&text, size).unwrap(), (items, next));
        }
    }
}
