//! One table of the file, read key by key. What is wrong is noted and then treated as absent, so
//! that the reading goes on and finds the next mistake.
//!
//! The tree is walked by hand and not by serde, whose derived code stops at the first mistake.
#![forbid(unsafe_code)]

use std::fmt::Display;
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Mistake, Mistakes, Span};

/// The keys that a section may have.
pub(super) type Keys = &'static [&'static str];

/// Any value of the file.
pub(super) type Value<'a> = &'a Spanned<DeValue<'a>>;

/// A value with its place.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub value: T,
    pub span: Span,
}

/// One table of the file.
#[derive(Debug)]
pub(super) struct Section<'a, 'm> {
    /// As the operator writes it: `[router]`, `[[port]]`; the whole file has no name.
    name: &'static str,
    /// Its header.
    pub span: Span,
    table: &'a DeTable<'a>,
    keys: Keys,
    pub mistakes: &'m mut Mistakes,
}

impl<'a, 'm> Section<'a, 'm> {
    /// Open a table whose keys are `keys`. Each other key is a mistake.
    pub fn new(
        name: &'static str,
        span: Span,
        table: &'a DeTable<'a>,
        keys: Keys,
        mistakes: &'m mut Mistakes,
    ) -> Self {
        let mut section = Self { name, span, table, keys, mistakes };
        section.refuse_unknown();
        section
    }

    fn refuse_unknown(&mut self) {
        let table = self.table;
        for key in table.keys().filter(|key| !self.keys.contains(&key.get_ref().as_ref())) {
            let help = match nearest(key.get_ref(), self.keys) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the keys here are {}", self.keys.join(", ")),
            };
            self.refuse(key.get_ref(), key.span(), "unknown key", help);
        }
    }

    /// Note a mistake in the value of `key`.
    pub fn refuse(&mut self, key: &str, span: Span, message: impl Display, help: impl Display) {
        self.contradict(key, span, None, message, help);
    }

    /// Note that `key` contradicts what stands at `earlier`.
    pub fn contradict(
        &mut self,
        key: &str,
        span: Span,
        earlier: Option<Span>,
        message: impl Display,
        help: impl Display,
    ) {
        let key = key_path(self.name, key);
        let (message, help) = (message.to_string(), help.to_string());
        self.mistakes.push(Mistake { span, key, message, help, earlier });
    }

    /// Note that `key` must be there; `example` shows how it is written.
    pub fn missing(&mut self, key: &str, example: &str) {
        self.refuse(key, self.span.clone(), "missing", format_args!("add `{key} = {example}`"));
    }

    fn wrong_type(&mut self, key: &str, value: Value<'_>, wanted: &str) {
        let found = type_name(value.get_ref());
        let message = format_args!("this is {found}");
        self.refuse(key, value.span(), message, format_args!("write {wanted}"));
    }

    /// The value of `key` as it stands.
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        debug_assert!(self.keys.contains(&key), "{key} is read but not among the known keys");
        self.table.get(key)
    }

    /// Where the value of `key` stands, or else the section's header.
    pub fn span_of(&self, key: &str) -> Span {
        self.get(key).map_or(self.span.clone(), Spanned::span)
    }

    /// A whole number inside `range`.
    pub fn integer<T>(&mut self, key: &str, range: RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let value = self.get(key)?;
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        let DeValue::Integer(digits) = value.get_ref() else {
            self.wrong_type(key, value, &wanted);
            return None;
        };
        let number = i64::from_str_radix(digits.as_str(), digits.radix()).ok();
        let number = number.and_then(|n| T::try_from(n).ok()).filter(|n| range.contains(n));
        if number.is_none() {
            let message = format_args!("{digits} is out of range");
            self.refuse(key, value.span(), message, format_args!("write {wanted}"));
        }
        number
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, key: &str) -> Option<bool> {
        let value = self.get(key)?;
        let truth = value.get_ref().as_bool();
        if truth.is_none() {
            self.wrong_type(key, value, "true or false, without quotes");
        }
        truth
    }

    /// A text.
    pub fn text(&mut self, key: &str) -> Option<At<&'a str>> {
        let value = self.get(key)?;
        self.as_text(key, value)
    }

    /// A text that must be there; `example` shows how it is written.
    pub fn required_text(&mut self, key: &str, example: &str) -> Option<At<&'a str>> {
        if self.get(key).is_none() {
            self.missing(key, example);
        }
        self.text(key)
    }

    fn as_text(&mut self, key: &str, value: Value<'a>) -> Option<At<&'a str>> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong_type(key, value, "a text in quotes");
        }
        Some(At { value: text?, span: value.span() })
    }

    /// A list of anything; absent, it is empty.
    pub fn list(&mut self, key: &str, example: &str) -> &'a [Spanned<DeValue<'a>>] {
        let Some(value) = self.get(key) else { return &[] };
        let Some(list) = value.get_ref().as_array() else {
            self.wrong_type(key, value, &format!("{key} = {example}"));
            return &[];
        };
        list
    }

    /// A list of texts.
    pub fn texts(&mut self, key: &str, example: &str) -> Vec<At<&'a str>> {
        let list = self.list(key, example);
        list.iter().filter_map(|value| self.as_text(key, value)).collect()
    }

    /// One of a few words, each with its meaning.
    pub fn choice<T: Clone>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let value = self.get(key)?;
        let word = value.get_ref().as_str();
        if let Some((_, meaning)) = choices.iter().find(|(choice, _)| Some(*choice) == word) {
            return Some(meaning.clone());
        }
        let words: Vec<_> = choices.iter().map(|(choice, _)| format!("\"{choice}\"")).collect();
        let wanted = format!("one of {}", words.join(", "));
        match word {
            None => self.wrong_type(key, value, &wanted),
            Some(word) => {
                let message = format_args!("\"{word}\" is not a choice here");
                self.refuse(key, value.span(), message, format_args!("write {wanted}"));
            }
        }
        None
    }

    /// The table `[key]`, called `name`.
    pub fn section(&mut self, name: &'static str, keys: Keys) -> Option<Section<'a, '_>> {
        let key = name.trim_matches(['[', ']']);
        let value = self.get(key)?;
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_type(key, value, &format!("the section as {name}, once"));
            return None;
        };
        Some(Section::new(name, value.span(), table, keys, self.mistakes))
    }

    /// The tables `[[key]]`, called `name`: each as a value for [`Section::open`].
    pub fn sections(&mut self, name: &'static str) -> &'a [Spanned<DeValue<'a>>] {
        let key = name.trim_matches(['[', ']']);
        let Some(value) = self.get(key) else { return &[] };
        let Some(list) = value.get_ref().as_array() else {
            self.wrong_type(key, value, &format!("the section as {name}, once for each {key}"));
            return &[];
        };
        list
    }

    /// One value of a list as a table called `name`; `wanted` says how one is written.
    pub fn open(
        &mut self,
        name: &'static str,
        keys: Keys,
        value: Value<'a>,
        wanted: &str,
    ) -> Option<Section<'a, '_>> {
        let Some(table) = value.get_ref().as_table() else {
            let found = type_name(value.get_ref());
            self.mistakes.push(Mistake {
                span: value.span(),
                key: name.to_owned(),
                message: format!("this is {found}"),
                help: format!("write {wanted}"),
                earlier: None,
            });
            return None;
        };
        Some(Section::new(name, value.span(), table, keys, self.mistakes))
    }
}

/// `[[port]] mtu`; in a table inside a value `[[route]] via.weight`.
fn key_path(section: &str, key: &str) -> String {
    match section {
        "" => key.to_owned(),
        header if header.ends_with(']') => format!("{header} {key}"),
        value => format!("{value}.{key}"),
    }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or a time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// The word that was probably meant: at most a third of it differs, or two characters.
fn nearest<'w>(word: &str, words: &[&'w str]) -> Option<&'w str> {
    let bound = (word.len() / 3).max(2);
    let distances = words.iter().map(|&known| (edit_distance(word, known), known));
    distances.filter(|&(d, known)| d <= bound && d < known.len()).min().map(|(_, known)| known)
}

/// Levenshtein's distance: how many characters must be put in, taken out or replaced.
fn edit_distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}
